//! Sandboxes: what the kernel denies to a tool and to its child processes.

use crate::support::crew::Crew;
use crate::support::faults::expect_in;
use indoc::indoc;

#[test]
fn faults_of_sandboxes() {
    let tool = |keys: &str| format!("tools:\n  t: {{description: x, {keys}}}\n");
    let program = |sandbox: &str| tool(&format!("command: [id], sandbox: {sandbox}"));
    let gone = "tools.t.sandbox.read[1] 3:58 .. there is no file or directory \"gone\"";
    expect_in(&program("{read: [., gone]}"), &[gone]);
    let home = "tools.t.sandbox.write[0] 3:56 .. only a shell expands .. ${HOME}";
    expect_in(&program("{write: [~/x]}"), &[home]);
    let template = "tools.t.sandbox.read[0] 3:55 .. templates do not work";
    expect_in(&program("{read: ['{{ input }}']}"), &[template]);
    expect_in(&program("{read: ['']}"), &["tools.t.sandbox.read[0] 3:55 .. empty"]);
    expect_in(&program("{network: tcp}"), &["tools.t.sandbox.network 3:57 .. full"]);
    expect_in(&program("{reads: [.]}"), &["tools.t.sandbox.reads 3:48 .. did you mean \"read\"?"]);
    let http = tool("http: {url: 'https://example.com'}, sandbox: {}");
    expect_in(&http, &["tools.t.sandbox 3:59 .. for tools that start a program"]);
}

#[test]
fn check_shows_sandboxes() {
    let crew = Crew::check(indoc! {"
        tools:
          free: {description: x, command: [id]}
          kept:
            description: x
            command: [id]
            sandbox: {read: [/etc, .], write: [/tmp], network: none, if_unsupported: warn}
          web: {description: x, http: {url: 'http://h/'}}
        mcp_servers:
          open: {command: id}
          shut:
            command: id
            confirm: true
            sandbox: {read: [/etc], network: none, if_unsupported: warn}
          far: {url: 'http://h/'}
        agents: {a: {model: offline, tools: [free, kept, web, open, shut, far]}}
    "});
    let ended = crew.env("COLUMNS", "200").run_as_is();
    let text = ended.stdout;
    assert_eq!(ended.status.code(), Some(0), "{text}");
    let line = |tool: &str| text.lines().find(|line| line.trim_start().starts_with(tool)).unwrap();
    let ends = |tool: &str, end: [&str; 2]| {
        let words: Vec<_> = line(tool).split_whitespace().collect();
        assert!(words.ends_with(&end), "{end:?}: {text}");
    };
    ends("free", ["none", "no"]);
    ends("web", ["-", "no"]);
    ends("open", ["none", "no"]);
    ends("far", ["-", "no"]);
    ends("shut", ["/etc", "yes"]);
    // The column begins with the network, before any number of paths.
    assert!(line("kept").contains(" no network, reads /etc /"), "{text}");
    assert!(line("shut").contains(" no network, reads /etc "), "{text}");
}

#[cfg(target_os = "linux")]
mod enforced {
    use std::net::TcpListener;
    use std::path::Path;

    use crew::process::Sandbox;
    use indoc::{formatdoc, indoc};
    use nix::sys::signal::Signal;
    use serde_json::{Value, json};

    use crate::support::crew::{Crew, Ended, is_alive, wait_for};
    use crate::support::mcp_server;

    /// Whether this kernel supports a sandbox with or without network access.
    fn is_supported(network: bool) -> bool {
        let sandbox = Sandbox { read: vec![], write: vec![], network, required: true };
        match sandbox.unsupported() {
            None => true,
            Some(lacking) => {
                #[expect(clippy::print_stderr, reason = "that nothing was tested must be seen")]
                {
                    eprintln!("skipped: {lacking}");
                }
                false
            }
        }
    }

    /// One agent that calls this shell tool once in this sandbox. `$DIR` is the folder of the run.
    fn crew(sandbox: &str, shell: &str) -> Crew {
        let crew = Crew::new(formatdoc! {"
            limits: {{grace: 300ms}}
            tools:
              t:
                description: x
                env: [DIR, PORT]
                sandbox: {sandbox}
                shell: |
                  {}
            agents:
              a: {{model: offline, tools: [t]}}
        ", shell.replace('\n', "\n      ")});
        for folder in ["in", "out"] {
            std::fs::create_dir(crew.path(folder)).unwrap();
            std::fs::write(crew.path(folder).join("kept"), "kept\n").unwrap();
        }
        std::fs::write(crew.path("secret"), "the secret\n").unwrap();
        crew
    }

    fn call_of(ended: &Ended) -> Value {
        ended.report(0)["agents"]["a"]["tool_calls"][0].clone()
    }

    fn output_of(ended: &Ended) -> String {
        call_of(ended)["output"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_example_of_the_docs_works() {
        if !is_supported(false) {
            return;
        }
        let page = include_str!("../../../docs/sandbox.md");
        let mut blocks = page.split("```yaml fragment\n");
        let example = blocks.find(|block| block.contains("    sandbox:\n")).unwrap();
        let example = example.split("```").next().unwrap();
        let crew =
            Crew::new(format!("{example}agents: {{a: {{model: offline, tools: [convert]}}}}\n"));
        std::fs::write(crew.path("a"), "picture\n").unwrap();
        let script = "#!/bin/sh\ncd \"${0%/*}\"\ncat a; ls /proc";
        std::fs::write(crew.path("convert.sh"), script).unwrap();
        make_executable(&crew.path("convert.sh"));
        let call = call_of(&crew.run());
        let output = call["output"].as_str().unwrap();
        assert!(output.starts_with("picture\n") && output.contains("ermission denied"), "{output}");
    }

    #[test]
    fn only_listed_paths_are_readable() {
        if !is_supported(true) {
            return;
        }
        let shell = indoc! {r#"
            cat "$DIR/in/kept" || echo unread
            for f in secret out/kept; do cat "$DIR/$f" 2>&1 && echo read; done
            ls "$DIR" "$DIR/out" && echo listed
            (exec sh -c 'cat "$DIR/secret"; ls "$DIR"') && echo read by a child
            { setsid sh -c 'cat "$DIR/secret" && echo read by an orphan' & } ; wait
            exit 0"#};
        let output = output_of(&crew("{read: [in]}", shell).run());
        assert!(output.starts_with("kept\n"), "{output}");
        for leak in ["the secret", "read", "listed"] {
            assert!(!output.contains(leak), "{output}");
        }
        assert!(output.contains("ermission denied"), "{output}");
        // With all paths listed, the tool reads everything.
        let output = output_of(&crew("{read: [in, out, secret]}", shell).run());
        assert_eq!(output.matches("the secret").count(), 3, "{output}");
    }

    #[test]
    fn home_and_other_processes_are_unreadable_and_the_system_is_readable() {
        if !is_supported(true) {
            return;
        }
        let shell = indoc! {r#"
            ls "$HOME" /proc /tmp >/dev/null 2>&1 && echo seen
            cat /proc/$PPID/environ >/dev/null 2>&1 && echo seen
            ls /usr/bin >/dev/null && test -r /etc/passwd && cat /etc/passwd >/dev/null &&
            head -c 4 /dev/urandom >/dev/null && echo fine >&2 && echo out >/dev/null"#};
        assert_eq!(output_of(&crew("{}", shell).run()), "fine\n");
    }

    #[test]
    fn only_listed_paths_are_writable() {
        if !is_supported(true) {
            return;
        }
        let shell = indoc! {r#"
            cd "$DIR"
            echo new > out/new && cat out/new && rm out/kept && mkdir out/sub &&
            mv out/new out/sub/moved && ln -s /etc out/link && echo more >> out/sub/moved
            for f in in/kept in/new secret new /tmp/crew-sandbox-test; do
            (echo x > "$f") 2>/dev/null && echo "wrote $f"
            (: >> "$f") 2>/dev/null && echo "opened $f"
            done
            (truncate -s 0 in/kept || rm in/kept || mv in/kept out/ || mkdir in/sub) 2>/dev/null
            (ln in/kept out/linked && echo x > out/linked) 2>/dev/null
            sh -c 'echo x > secret' 2>/dev/null && echo a child wrote
            exit 0"#};
        let ended = crew("{read: [in], write: [out]}", shell).run();
        assert_eq!(output_of(&ended), "new\n");
        let read = |name: &str| std::fs::read_to_string(ended.path().join(name)).unwrap();
        assert_eq!(read("in/kept"), "kept\n");
        assert_eq!(read("secret"), "the secret\n");
        assert_eq!(read("out/sub/moved"), "new\nmore\n");
        assert!(!ended.path().join("out/kept").exists());
        assert!(!ended.path().join("in/sub").exists());
    }

    #[test]
    fn single_files_can_be_listed_and_the_program_is_implied() {
        if !is_supported(true) {
            return;
        }
        let crew = Crew::new(indoc! {"
            tools:
              t:
                description: x
                command: [./bin/own.sh]
                sandbox: {read: ['${DIR}/one'], write: [two]}
            agents:
              a: {model: offline, tools: [t]}
        "});
        std::fs::create_dir(crew.path("bin")).unwrap();
        let script = "#!/bin/sh\ncat one && echo 2 > two && cat two\ncat bin/other three\n";
        for (name, text) in [
            ("bin/own.sh", script),
            ("one", "1\n"),
            ("two", ""),
            ("three", "3\n"),
            ("bin/other", ""),
        ] {
            std::fs::write(crew.path(name), text).unwrap();
        }
        make_executable(&crew.path("bin/own.sh"));
        let call = call_of(&crew.run());
        let output = call["output"].as_str().unwrap();
        assert!(output.starts_with("1\n2\n") && !output.contains("3\n"), "{output}");
        assert_eq!(output.matches("ermission denied").count(), 2, "{output}");
    }

    fn make_executable(path: &Path) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn an_unlisted_interpreter_is_reported() {
        if !is_supported(true) {
            return;
        }
        let crew = Crew::new(indoc! {"
            tools:
              t: {description: x, command: [./own], sandbox: {}}
            agents:
              a: {model: offline, tools: [t]}
        "});
        std::fs::copy("/bin/sh", crew.path("interpreter")).unwrap();
        let script = format!("#!{}\necho started\n", crew.path("interpreter").display());
        std::fs::write(crew.path("own"), script).unwrap();
        make_executable(&crew.path("own"));
        make_executable(&crew.path("interpreter"));
        let output = output_of(&crew.run());
        assert!(output.contains("Permission denied") && output.contains("interpreter"), "{output}");
    }

    /// Prints whether it could connect to `$PORT`; `bash` needs no other program for that.
    const CONNECT: &str = indoc! {"
        if ! command -v bash >/dev/null; then echo no bash; exit 0; fi
        bash -c 'exec 3<>/dev/tcp/127.0.0.1/$PORT' 2>&1 && echo connected; exit 0"};

    #[test]
    fn network_none_blocks_connections() {
        if !is_supported(false) {
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let run = |sandbox| output_of(&crew(sandbox, CONNECT).env("PORT", &port).run());
        let (full, default) = (run("{network: full}"), run("{}"));
        if full == "no bash\n" {
            return;
        }
        assert_eq!((full.as_str(), default.as_str()), ("connected\n", "connected\n"));
        let none = run("{network: none}");
        assert!(none.contains("ermission denied") && !none.contains("connected"), "{none}");
    }

    #[test]
    fn sandboxed_tools_are_stopped() {
        if !is_supported(true) {
            return;
        }
        let shell = "trap '' TERM\nsetsid sh -c 'trap \"\" TERM; echo $$ > \"$DIR/out/pid\"; \
                     while :; do sleep 1; done' &\nwait";
        let running = crew("{write: [out]}", shell).start();
        let pid = running.pid_from("out/pid");
        running.signal(Signal::SIGTERM);
        let ended = running.wait();
        let report = ended.json();
        assert!(report["cleanup"]["processes_killed"].as_u64().unwrap() > 1, "{report:#}");
        assert_eq!(report["cleanup"]["survivors"], json!([]));
        wait_for("the tool's process to be gone", || (!is_alive(pid)).then_some(()));
    }

    #[test]
    fn sandboxed_tools_time_out_and_leave_no_process() {
        if !is_supported(true) {
            return;
        }
        let slow = crew("{}\n    timeout: 300ms", "sleep 60").run();
        assert_eq!(call_of(&slow)["status"], "timed_out");
        let shell = indoc! {r#"
            setsid sh -c 'echo $$ > "$DIR/out/pid"; exec sleep 60' >/dev/null 2>&1 &
            until [ -s "$DIR/out/pid" ]; do :; done"#};
        let ended = crew("{write: [out]}", shell).run();
        assert_eq!(call_of(&ended)["leaked"], true);
        let pid = std::fs::read_to_string(ended.path().join("out/pid")).unwrap();
        assert!(!is_alive(nix::unistd::Pid::from_raw(pid.trim().parse().unwrap())));
    }

    #[test]
    fn other_tools_are_not_sandboxed() {
        if !is_supported(true) {
            return;
        }
        let yaml = indoc! {r#"
            tools:
              t: {description: x, env: [DIR], shell: 'cat "$DIR/secret"', sandbox: {}}
              u: {description: x, env: [DIR], shell: 'cat "$DIR/secret"'}
            agents:
              a: {model: offline, tools: [t, u]}
              b: {model: offline, needs: [a], tools: [u]}
        "#};
        let crew = Crew::new(yaml);
        std::fs::write(crew.path("secret"), "the secret\n").unwrap();
        let report = crew.run().report(0);
        let calls = &report["agents"]["a"]["tool_calls"];
        assert_eq!(calls[0]["status"], "failed", "{report:#}");
        assert_eq!(calls[1]["output"], "the secret\n");
        assert_eq!(report["agents"]["b"]["tool_calls"][0]["output"], "the secret\n");
    }

    #[test]
    fn mcp_servers_can_be_sandboxed() {
        if !is_supported(true) {
            return;
        }
        let crew = |role: &str, sandbox: &str| {
            let servers = mcp_server::yaml(role, sandbox);
            let agent = "agents: {a: {model: offline, tools: [fx.peek]}}\n";
            Crew::new(format!("{servers}{agent}")).run()
        };
        assert_eq!(output_of(&crew("", "")), "seen");
        assert_eq!(output_of(&crew("", "    sandbox: {write: [.]}\n")), "denied");
        let report = crew("refuses", "    sandbox: {write: [.]}\n").report(1);
        let message = report["agents"]["a"]["error"]["message"].as_str().unwrap();
        assert!(message.contains("(exit code 3, in a sandbox)"), "{message}");
    }

    /// Simulates a kernel without Landlock: its first system call fails as it does there.
    fn without_landlock() -> std::io::Result<()> {
        use nix::libc::{self, sock_filter, sock_fprog};
        let (load, jump_if_equal, give) = (0x20, 0x15, 0x06);
        let number = u32::try_from(libc::SYS_landlock_create_ruleset).unwrap_or_default();
        let refused = libc::SECCOMP_RET_ERRNO | libc::EOPNOTSUPP as u32;
        let mut filter = [
            sock_filter { code: load, jt: 0, jf: 0, k: 0 },
            sock_filter { code: jump_if_equal, jt: 0, jf: 1, k: number },
            sock_filter { code: give, jt: 0, jf: 0, k: refused },
            sock_filter { code: give, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
        ];
        let program = sock_fprog { len: 4, filter: filter.as_mut_ptr() };
        nix::sys::prctl::set_no_new_privs()?;
        #[expect(unsafe_code, reason = "no safe wrapper sets a filter")]
        // SAFETY: the program outlives the call.
        let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, 2, &raw const program) };
        if set == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    }

    #[test]
    fn an_unsupported_sandbox_is_a_fault() {
        let ended =
            crew("{read: [in]}", "echo ran > \"$DIR/out/ran\"").prepare(without_landlock).run();
        let report = ended.report(2);
        let fault = &report["errors"][0];
        assert_eq!(fault["path"], "tools.t.sandbox", "{report:#}");
        assert!(fault["message"].as_str().unwrap().contains("Landlock"), "{report:#}");
        assert!(fault["hint"].as_str().unwrap().contains("if_unsupported: warn"), "{report:#}");
        assert!(!ended.path().join("out/ran").exists());
    }

    #[test]
    fn if_unsupported_warn_runs_without_the_sandbox_and_warns() {
        let warn = "{read: [in], if_unsupported: warn}";
        let ended = crew(warn, "cat \"$DIR/secret\"").prepare(without_landlock).run();
        assert_eq!(output_of(&ended), "the secret\n");
        let warning = "warning: the sandbox of tool t is not fully enforced: ";
        assert!(ended.stderr.starts_with(warning), "{}", ended.stderr);
        if is_supported(true) {
            let ended = crew(warn, "cat \"$DIR/secret\" 2>/dev/null; exit 0").run();
            assert_eq!(output_of(&ended), "");
            assert!(!ended.stderr.contains("warning"), "{}", ended.stderr);
        }
    }
}
