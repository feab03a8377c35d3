//! Faults of `mcp_servers` and of references to them.

use crate::support::faults::{expect_good, expect_in};
use indoc::indoc;

#[test]
fn faults_of_servers() {
    expect_in(
        indoc! {"
            mcp_servers:
              a: {command: x, url: 'http://h/mcp'}
              b: {}
              1c: {command: x}
            agents: {z: {}}
        "},
        &[
            "mcp_servers.a 3:3 .. both a command and a url .. exactly one",
            "mcp_servers.b 4:3 .. neither a command nor a url .. exactly one",
            "mcp_servers.1c 5:3 .. cannot be the name of an MCP server",
        ],
    );
    expect_in(
        indoc! {"
            mcp_servers:
              a: {command: npx -y server}
              b: {command: x, headers: {k: v}}
              c: {url: 'ftp://h', args: [y]}
              d: {url: 'http://u:p@h/'}
              e: {comand: x}
            agents: {z: {}}
        "},
        &[
            "mcp_servers.a.command 3:16 .. one program, not a shell line .. args",
            "mcp_servers.b.headers 4:19 .. for servers reached by a url",
            "mcp_servers.c.url 5:12 .. only http and https",
            "mcp_servers.c.args 5:23 .. for servers started by a command",
            "mcp_servers.d.url 6:12 .. put credentials in headers",
            "mcp_servers.e 7:3 .. neither a command nor a url",
            r#"mcp_servers.e.comand 7:7 .. unknown key .. did you mean "command"?"#,
        ],
    );
    expect_in(
        indoc! {"
            mcp_servers:
              a:
                command: x
                env: {OPENAI: '${OPENAI_API_KEY}', 'a-b': c}
                start_timeout: 0s
                timeout: x
                max_output: 1
                cwd: nowhere
                roots: [., ~/x]
            agents: {z: {}}
        "},
        &[
            "mcp_servers.a.env.OPENAI 5:19 .. OPENAI_API_KEY holds an API key",
            r#"mcp_servers.a.env.a-b 5:40 .. not the name of an environment variable"#,
            "mcp_servers.a.start_timeout 6:20 .. more than 0",
            "mcp_servers.a.timeout 7:14 .. expected a duration",
            "mcp_servers.a.max_output 8:17 .. expected a size",
            "mcp_servers.a.cwd 9:10 .. there is no directory .. starts at the crew's file",
            "mcp_servers.a.roots[1] 10:16 .. only a shell expands .. ${HOME}",
        ],
    );
    expect_in(
        "mcp_servers: {a: {url: 'http://h/', headers: {Accept: x, 'b c': y}}}\nagents: {z: {}}\n",
        &[
            "mcp_servers.a.headers.Accept 2:47 .. the protocol sets",
            r#"mcp_servers.a.headers["b c"] 2:58 .. not a header name"#,
        ],
    );
}

#[test]
fn faults_of_references_to_servers() {
    let servers = "mcp_servers: {files: {command: x}, web: {url: 'http://h/mcp'}}\n\
                   tools: {list: {command: [ls]}, web: {command: [w]}}\n";
    expect_in(
        &format!(
            "{servers}agents:\n  \
             a: {{tools: [file, fils.read_*, files., lst, no.way, files, files]}}\n"
        ),
        &[
            "mcp_servers.web 2:36 .. \"web\" is also the name of a tool",
            r#"agents.a.tools[0] 5:15 .. there is no tool "file" .. did you mean "files"?"#,
            "agents.a.tools[1] 5:21 .. there is no MCP server \"fils\" \
             .. did you mean \"files.read_*\"?",
            r#"agents.a.tools[2] 5:34 .. "files." lacks the name of a tool .. write "files""#,
            r#"agents.a.tools[3] 5:42 .. there is no tool "lst" .. did you mean "list"?"#,
            r#"agents.a.tools[4] 5:47 .. there is no MCP server "no""#,
            "agents.a.tools[6] 5:62 .. files is listed twice",
        ],
    );
    expect_good(
        indoc! {"
            mcp_servers: {files: {command: x}}
            tools: {list: {command: [ls]}}
            agents: {a: {tools: [list], model: offline}}
        "},
        &[],
        &[],
    );
}
