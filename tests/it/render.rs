//! `crew render`: what the models would be asked.

use std::fs;

use indoc::indoc;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::api::PNG;
use crate::support::crew::{Crew, Ended, folder};
use crate::support::faults::{faults, lines};
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script;

const YAML: &str = indoc! {"
    vars: {service: ssh}
    providers: {mock: {base_url: '${URL:-http://127.0.0.1:9}', api_key_env: MOCK_KEY}}
    defaults: {model: mock/m}
    tools:
      df:
        description: Free space
        command: [df, '{{ path }}']
        parameters: {path: {type: string, default: /}}
    agents:
      disk:
        role: Expert for {{ vars.service }}
        prompt: '{{ input }}?'
        tools: [df]
      verdict:
        needs: [disk]
        prompt: 'Disk: {{ agents.disk.output }}'
        output_schema:
          type: object
          required: [level, notes]
          properties: {level: {enum: [low, high]}, notes: {type: array, items: {type: string}}}
      note:
        needs: [verdict]
        prompt: '{{ agents.verdict.data.level }} {{ agents.verdict.data.notes | length }}'
"};

fn render(folder: &TempDir, args: &[&str]) -> Ended {
    Crew::at(folder.path()).args(&["render"]).args(args).run_as_is()
}

fn agents(folder: &TempDir, args: &[&str]) -> Value {
    let report = render(folder, &[args, &["-o", "json"]].concat()).report(0);
    assert_eq!(report["status"], "succeeded");
    report["agents"].clone()
}

#[test]
fn what_is_rendered_is_what_the_server_gets() {
    let verdict = json!({"level": "high", "notes": ["a", "b"]}).to_string();
    let server = ModelServer::start(move |request: &Request| match request.contents("user")[0] {
        prompt if prompt.starts_with("Disk: ") => script::text(&verdict),
        _ => script::text("it is \"full\""),
    });
    let folder = folder(YAML);
    let ran = Crew::at(folder.path())
        .envs(&[("URL", &server.base_url()), ("MOCK_KEY", "k-0123456789abcdef")])
        .args(&["run", "-i", "why", "--output-file", "report.json"])
        .run_as_is();
    assert_eq!(ran.status.code(), Some(0), "{}", ran.stderr);
    let rendered = agents(&folder, &["--from", "report.json"]);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    for agent in rendered.as_object().unwrap().values() {
        let prompt = agent["prompt"].as_str().unwrap();
        let asked = requests.iter().find(|request| request.contents("user")[0] == prompt);
        let asked = asked.unwrap_or_else(|| panic!("{prompt}: {requests:#?}"));
        assert_eq!(agent["system"].as_str(), asked.contents("system").first().copied());
        let sent = asked.body["tools"].as_array().into_iter().flatten();
        let sent: Vec<&Value> = sent.map(|tool| &tool["function"]).collect();
        let tools: Vec<&Value> = agent["tools"].as_array().unwrap().iter().collect();
        assert_eq!(tools.len(), sent.len());
        for (tool, sent) in tools.iter().zip(sent) {
            for key in ["name", "description", "parameters"] {
                assert_eq!(tool[key], sent[key]);
            }
        }
        assert_eq!(agent["models"], json!(["mock/m"]));
    }
    assert_eq!(rendered["note"]["prompt"], "high 2");
    let other = agents(&folder, &["--from", "report.json", "-a", "disk", "-i", "how"]);
    assert_eq!(other["disk"]["prompt"], "how?");
}

#[test]
fn instances_and_failures_of_a_report_are_rendered() {
    let folder = folder(indoc! {r#"
        defaults: {model: offline}
        agents:
          list: {command: [printf, 'true\nfalse\n'], parse: lines}
          try: {needs: [list], for_each: agents.list.data, command: ["{{ item }}"]}
          ask:
            needs: [list]
            for_each: agents.list.data
            prompt: "{{ index }} {{ item }}"
          tell:
            needs: {try: done}
            prompt: |-
              {% for r in agents.try.items %}{{ r.key }}={{ r.item }}: {{ r.status }}
              {% endfor %}{{ agents.try.error.kind }}
    "#});
    let args = ["run", "--keep-going", "--offline", "--output-file", "report.json"];
    let ran = Crew::at(folder.path()).args(&args).run_as_is();
    assert_eq!(ran.status.code(), Some(1), "{}", ran.stderr);
    let rendered = agents(&folder, &["--from", "report.json"]);
    let told = "true=true: succeeded\nfalse=false: failed\nfor_each";
    assert_eq!(rendered["tell"]["prompt"], told);
    assert_eq!(rendered["ask[true]"]["prompt"], "0 true");
    assert_eq!(rendered["ask[false]"]["prompt"], "1 false");
    assert_eq!(rendered.get("ask"), None);
    assert_eq!(agents(&folder, &[])["ask"]["prompt"], "0 [item]");
}

#[test]
fn placeholders_take_the_place_of_what_is_not_known() {
    let folder = folder(YAML);
    let rendered = agents(&folder, &[]);
    assert_eq!(rendered["disk"]["prompt"], "[input]?");
    assert_eq!(rendered["disk"]["system"], "Role: Expert for ssh");
    assert_eq!(rendered["verdict"]["prompt"], "Disk: [answer of disk]");
    let system = rendered["verdict"]["system"].as_str().unwrap();
    assert!(system.contains("JSON Schema") && system.contains("\"level\""), "{system}");
    assert_eq!(rendered["verdict"]["output_schema"]["required"], json!(["level", "notes"]));
    assert_eq!(rendered["note"]["prompt"], "low 0");
    let chosen = agents(&folder, &["-a", "verdict,note", "--var", "service=nginx", "why"]);
    let names: Vec<&String> = chosen.as_object().unwrap().keys().collect();
    assert_eq!(names, ["verdict", "note"]);
    let named = agents(&folder, &["-a", "disk", "--var", "service=nginx", "why"]);
    assert_eq!(named["disk"]["prompt"], "why?");
    assert_eq!(named["disk"]["system"], "Role: Expert for nginx");
}

#[test]
fn text_is_markdown() {
    let text = render(&folder(YAML), &["-a", "disk", "why"]);
    assert_eq!(text.status.code(), Some(0));
    let expected = indoc! {"
        # disk

        model: mock/m

        ## system

        Role: Expert for ssh

        ## prompt

        why?

        ## tool df

        Free space

    "};
    assert!(text.stdout.starts_with(expected), "{}", text.stdout);
    assert!(text.stdout.contains("\"default\": \"/\"") && text.stderr.is_empty());
}

#[test]
fn tools_of_servers_are_named() {
    let folder = folder(indoc! {"
        mcp_servers: {fs: {command: cat}, wiki: {url: 'https://wiki.example/mcp'}}
        agents: {a: {model: offline, tools: [fs, wiki.read_*]}}
    "});
    assert_eq!(agents(&folder, &[])["a"]["mcp_tools"], json!(["fs.*", "wiki.read_*"]));
    assert!(render(&folder, &[]).stdout.ends_with("\n\nfs.*, wiki.read_*\n"));
}

#[test]
fn attachments_are_shown() {
    let folder = folder(indoc! {"
        agents:
          a: {model: offline, prompt: look, attach: ['{{ input }}', note.txt]}
    "});
    fs::write(folder.path().join("x.png"), PNG).unwrap();
    fs::write(folder.path().join("note.txt"), "as text").unwrap();
    let rendered = agents(&folder, &["-i", "x.png"]);
    let file = json!({"name": "x.png", "media_type": "image/png"});
    assert_eq!(rendered["a"]["attachments"], json!([file]));
    assert!(rendered["a"]["prompt"].as_str().unwrap().contains("as text"));
    let gone = render(&folder, &["-i", "none.png", "-o", "json"]).report(1);
    assert!(gone["agents"]["a"]["error"].as_str().unwrap().contains("cannot attach"));
}

#[test]
fn no_secret_is_shown() {
    let yaml = indoc! {"
        providers:
          mock: {base_url: 'http://127.0.0.1:9', headers: {Authorization: 'Bearer ${API_TOKEN}'}}
        agents: {a: {model: mock/m, prompt: '{{ input }}'}}
    "};
    let secret = "s3cret-0123456789";
    let folder = folder(yaml);
    for format in ["text", "json"] {
        let ended = Crew::at(folder.path())
            .env("API_TOKEN", secret)
            .args(&["render", "-o", format, "-i", &format!("my key is {secret}")])
            .run_as_is();
        let shown = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!shown.contains(secret) && shown.contains("my key is"), "{shown}");
    }
}

#[test]
fn a_template_that_cannot_be_rendered_is_an_error_of_its_agent() {
    let folder = folder(indoc! {"
        agents:
          good: {model: offline, prompt: hello}
          bad: {model: offline, prompt: '{{ input | int }}'}
    "});
    let report = render(&folder, &["-o", "json", "-i", "many"]).report(1);
    assert_eq!(report["status"], "failed");
    assert_eq!(report["agents"]["good"]["prompt"], "hello");
    assert_eq!(report["agents"]["bad"]["prompt"], Value::Null);
    assert!(!report["agents"]["bad"]["error"].as_str().unwrap().is_empty());
    let text = render(&folder, &["-i", "many"]);
    assert!(text.stdout.contains("\nerror: "), "{}", text.stdout);
}

#[test]
fn what_cannot_be_used_is_a_fault() {
    let folder = folder("agents: {a: {model: offline}}\n");
    let other = |name, text| std::fs::write(folder.path().join(name), text).unwrap();
    other("other.json", r#"{"schema_version": 1, "agents": {}}"#);
    other("newer.json", r#"{"schema_version": 2, "status": "failed", "agents": {}}"#);
    for (args, message) in [
        (&["-a", "b"][..], "there is no agent \"b\""),
        (&["--from", "agents.yaml"], "agents.yaml is not a report of crew"),
        (&["--from", "other.json"], "other.json is not a report of crew: missing field"),
        (&["--from", "newer.json"], "its schema_version is 2, and this crew reads 1"),
        (&["--from", "none.json"], "no such file"),
        (&["-i", "x", "--input-file", "y"], "cannot be used with"),
        (&["--input-file", "none.txt"], "none.txt"),
    ] {
        let ended = render(&folder, &[args, &["-o", "json"]].concat());
        let found = lines(&faults(&ended)).join("\n");
        assert!(found.contains(message), "{args:?}: {found}");
        assert!(!ended.stderr.is_empty(), "{args:?}");
    }
}
