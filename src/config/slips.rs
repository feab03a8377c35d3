//! Keys of other programs, and what crew calls them.

const OF_PROVIDER: &str =
    "providers: {name: {base_url: https://…}} at the top, and model: name/model";

/// A key, the key of crew that has to be allowed at its place, and how that is written.
const SLIPS: [(&str, &str, &str); 35] = [
    ("depends_on", "needs", "needs: [other-agent]"),
    ("after", "needs", "needs: [other-agent]"),
    ("dependencies", "needs", "needs: [other-agent]"),
    ("system_prompt", "system", "system: the whole system message"),
    ("system_message", "system", "system: the whole system message"),
    ("user_prompt", "prompt", "prompt: the user message"),
    ("task", "prompt", "prompt: the user message"),
    ("prompt_file", "prompt", "prompt: {file: PATH}"),
    ("instructions_file", "instructions", "instructions: {file: PATH}"),
    ("system_file", "system", "system: {file: PATH}"),
    ("schema", "output_schema", "output_schema: a JSON Schema"),
    ("response_format", "output_schema", "output_schema: a JSON Schema"),
    ("llm", "model", "model: provider/model"),
    ("max_iter", "max_turns", "max_turns: 10"),
    ("if", "when", "when: an expression"),
    ("each", "for_each", "for_each: a list or an expression"),
    ("api_base", "base_url", "base_url: https://…"),
    ("url", "base_url", "base_url: https://…"),
    ("endpoint", "base_url", "base_url: https://…"),
    // At an agent, where only a model can be named.
    ("api_base", "model", OF_PROVIDER),
    ("base_url", "model", OF_PROVIDER),
    ("endpoint", "model", OF_PROVIDER),
    ("api_key", "api_key_env", "api_key_env: the NAME of a variable that holds the key"),
    ("run", "command", "command: [program, argument], or shell: a line for sh -c"),
    ("working_dir", "cwd", "cwd: a directory"),
    ("variables", "vars", "vars: {name: value}"),
    ("extends", "include", "include: [PATH]"),
    // Settings at the top of the file, where only it has the key `defaults`.
    ("model", "defaults", "defaults: {model: provider/model}"),
    ("temperature", "defaults", "defaults: {temperature: 0.2}"),
    ("retries", "defaults", "defaults: {retries: 2}"),
    (
        "timeout",
        "defaults",
        "limits: {timeout: 10m} for the run, defaults: {timeout: 2m} for each agent",
    ),
    ("on_failure", "defaults", "limits: {on_failure: continue}"),
    ("max_parallel", "defaults", "limits: {max_parallel: 4}"),
    ("max_cost", "defaults", "limits: {max_cost: 0.5}"),
    ("env_file", "vars", "${NAME} in the file, and run crew with --env-file PATH"),
];

/// What to write in place of a key that another program knows.
pub fn hint(key: &str, known: &[&str]) -> Option<String> {
    let key = key.replace('-', "_").to_ascii_lowercase();
    let fits = |(slip, ours, _): &&(&str, &str, &str)| *slip == key && known.contains(ours);
    SLIPS.iter().find(fits).map(|(_, _, written)| format!("write {written}"))
}
