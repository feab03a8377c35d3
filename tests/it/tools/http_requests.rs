//! HTTP tools: requests, destinations and secrets.

use std::time::{Duration, Instant};

use crate::support::crew::Crew;
use crate::support::faults::{self, expect_in};
use crate::support::http_tool::{call_of, crew, ok, one, output, yaml};
use crate::support::mock_model::ModelServer;
use crate::support::script::whole;
use indoc::{formatdoc, indoc};
use serde_json::json;

#[test]
fn arguments_are_escaped_in_their_place() {
    for (hostile, in_path, in_query) in [
        ("a b", "a%20b", "a+b"),
        ("../..", "..%2F..", "..%2F.."),
        ("a/b?x#y", "a%2Fb%3Fx%23y", "a%2Fb%3Fx%23y"),
        ("%2e%2e", "%252e%252e", "%252e%252e"),
        ("\\..\\x", "%5C..%5Cx", "%5C..%5Cx"),
        ("a\r\nx: y\0", "a%0D%0Ax%3A%20y%00", "a%0D%0Ax%3A+y%00"),
        ("@evil:1/&c=d;é", "%40evil%3A1%2F%26c%3Dd%3B%C3%A9", "%40evil%3A1%2F%26c%3Dd%3B%C3%A9"),
        (
            "{{ vars.x }} ${HOME}",
            "%7B%7B%20vars.x%20%7D%7D%20%24%7BHOME%7D",
            "%7B%7B+vars.x+%7D%7D+%24%7BHOME%7D",
        ),
    ] {
        let server = ModelServer::always(ok());
        let default = serde_json::to_string(&hostile.replace("${", "$${")).unwrap();
        let tool = formatdoc! {"
            http:
              method: post
              url: '${{URL}}/v1/users/{{{{ x }}}}/p-{{{{ x }}}}?fixed=1'
              query: {{q: '{{{{ x }}}}', n: 5}}
              body: {{text: 'it is {{{{ x }}}}', same: '{{{{ x }}}}'}}
            parameters:
              x: {{type: string, default: {default}}}"};
        let call = call_of(&crew(&server, &tool).run());
        assert_eq!((output(&call), &call["http_status"]), ("fine", &json!(200)), "{call:#}");
        let request = one(&server);
        assert_eq!(request.method, "POST");
        let path = format!("/v1/users/{in_path}/p-{in_path}?fixed=1&q={in_query}&n=5");
        assert_eq!(request.path, path, "{hostile:?}");
        assert_eq!(request.body, json!({"text": format!("it is {hostile}"), "same": hostile}));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("host"), Some(server.address().to_string().as_str()));
    }
}

#[test]
fn arguments_cannot_change_the_destination() {
    for (url, x, why) in [
        ("/a/{{ x }}/b", "..", "[.. is not allowed as a path segment]"),
        ("/a/{{ x }}/b", ".", "[. is not allowed as a path segment]"),
        ("/a/.{{ x }}", ".", "[.. is not allowed as a path segment]"),
        ("/a/%2e{{ x }}", ".", "[%2e. is not allowed as a path segment]"),
        ("/a/{{ x }}", "", "[a path segment is empty]"),
        ("/{% for i in range(40000) %}{{ x }}{% endfor %}", "x", "[the URL is longer than 32 KiB]"),
    ] {
        let server = ModelServer::always(ok());
        let tool = formatdoc! {"
            http: {{method: DELETE, url: '${{URL}}{url}'}}
            parameters:
              x: {{type: string, default: '{x}'}}"};
        let call = call_of(&crew(&server, &tool).run());
        assert_eq!((&call["status"], output(&call)), (&json!("failed"), why));
        assert_eq!(call.get("http_status"), None);
        assert!(server.requests().is_empty());
    }
}

#[test]
fn a_body_keeps_the_types_of_its_arguments() {
    let server = ModelServer::always(ok());
    let tool = indoc! {r#"
        http:
          url: ${URL}/
          body:
            n: '{{ n }}'
            list: ['{{ list }}', '{{ on }}', 'n={{ n }}', 1.5, null, true]
            deep: {vars: '{{ vars }}', input: '{{ input }}'}
        parameters:
          n: {type: integer, default: 7}
          on: {type: boolean, default: false}
          list: {type: array, default: [1, {a: "'\""}]}"#};
    call_of(&crew(&server, tool).run());
    let expected = json!({"n": 7, "list": [[1, {"a": "'\""}], false, "n=7", 1.5, null, true],
        "deep": {"vars": {}, "input": "go"}});
    let request = one(&server);
    assert_eq!((request.method.as_str(), request.body), ("POST", expected));
}

#[test]
fn headers_reject_line_breaks() {
    for (x, sent) in [("a-b c", true), ("a\r\nevil: 1", false), ("a\0b", false), ("a\nb", false)] {
        let server = ModelServer::always(ok());
        let tool = formatdoc! {"
            http: {{url: '${{URL}}', headers: {{X-Thing: '{{{{ x }}}}', Accept: text/plain}}}}
            parameters:
              x: {{type: string, default: {}}}", json!(x)};
        let call = call_of(&crew(&server, &tool).run());
        if sent {
            assert_eq!(one(&server).header("x-thing"), Some(x));
            assert_eq!(one(&server).header("accept"), Some("text/plain"));
        } else {
            assert_eq!(call["status"], "failed");
            assert!(output(&call).contains("header x-thing contains characters"), "{call:#}");
            assert!(server.requests().is_empty());
        }
    }
}

#[test]
fn a_secret_reaches_its_host_only() {
    // The second secret comes from a variable, so it is not a template.
    const SECRETS: [&str; 3] =
        ["s3cr3t-of-the-weather", "{{ input }}-s3cr3t", "sk-for-another-host"];
    let server = ModelServer::start(|request| {
        let sent = ["authorization", "x-team"].map(|name| request.header(name).unwrap());
        whole(404, &[("content-type", "text/plain")], format!("you sent {}, {}", sent[0], sent[1]))
    });
    let yaml = yaml(indoc! {"
        http:
          url: '${URL}/{{ x }}'
          query: {api_key: '${TOKEN}'}
          headers:
            Authorization: 'Bearer ${TOKEN}'
            x-team: '${TEAM}/{{ x }}'
            x-key: '${OPENAI_API_KEY}'
            accept: text/plain
        parameters: {x: {type: string, default: text/plain}}
    "});
    let env = [("TOKEN", SECRETS[0]), ("TEAM", SECRETS[1]), ("OPENAI_API_KEY", SECRETS[2])];
    let crew = Crew::new(&yaml).env("URL", &server.origin()).args(&["-v"]);
    let ended = crew.envs(&env).run();
    let request = one(&server);
    assert_eq!(request.header("authorization"), Some("Bearer s3cr3t-of-the-weather"));
    assert_eq!(request.header("x-team"), Some("{{ input }}-s3cr3t/text/plain"));
    assert_eq!(request.header("x-key"), Some("sk-for-another-host"));
    let expected = "you sent [redacted], [redacted]/text/plain\n[HTTP 404 Not Found]";
    assert_eq!(output(&call_of(&ended)), expected);
    let env = [&env[..], &[("URL", "http://h")]].concat();
    let check = Crew::check(&yaml).envs(&env).run_as_is();
    assert_eq!(check.status.code(), Some(0));
    let broken = yaml.replace("api_key:", "x: '{{ nope }}', api_key:");
    let faulty = faults::run(broken.replace("Bearer", "Bearer {{ nope }}"), &[], &env);
    assert!(!faults::faults(&faulty).is_empty());
    for said in [ended.stdout, ended.stderr, check.stdout, faulty.stdout, faulty.stderr] {
        assert!(!said.contains("s3cr3t") && !said.contains("sk-for"), "{said}");
    }
}

#[test]
fn an_echoed_address_is_redacted() {
    let server = ModelServer::start(|request| {
        let said = format!("Cannot {} {}: {}", request.method, request.path, request.body);
        whole(404, &[("content-type", "text/plain")], said)
    });
    let tool = indoc! {r#"
        http:
          method: POST
          url: '${URL}/bot${BOT_TOKEN}/send'
          query: {k: '${SOME_KEY}'}
          body: ["${BODY_SECRET}", "${PLAIN}"]
    "#};
    let secrets =
        [("BOT_TOKEN", "1234:AbC-dEf"), ("SOME_KEY", "a+b/c==d e"), ("BODY_SECRET", "in-the-body")];
    let crew = crew(&server, tool).env("PLAIN", "no secret");
    let ended = secrets.iter().fold(crew, |crew, (name, value)| crew.env(name, value)).run();
    let sent = "/bot1234:AbC-dEf/send?k=a%2Bb%2Fc%3D%3Dd+e";
    assert_eq!(one(&server).path, sent);
    let said = "Cannot POST /bot[redacted]/send?k=[redacted]: [\"[redacted]\",\"no secret\"]\n";
    assert_eq!(output(&call_of(&ended)), format!("{said}[HTTP 404 Not Found]"));
}

#[test]
fn a_truncated_secret_is_redacted() {
    let server = ModelServer::start(|request| {
        let key = request.header("x-key").unwrap();
        whole(200, &[("content-type", "text/plain")], key.repeat(1000))
    });
    let key = "s3cr3t-of-the-weather-and-more";
    let tool = "http: {url: '${URL}', headers: {x-key: '${KEY}'}}\nmax_output: 1KiB";
    let ended = crew(&server, tool).env("KEY", key).run();
    let call = call_of(&ended);
    assert_eq!(call["truncated"], true);
    let rest = output(&call).replace("[redacted]", "");
    let (head, tail) = rest.split_once("\n[… ").unwrap();
    assert!(head.len() < 4 && tail.split_once('\n').unwrap().1.len() < 4, "{rest}");
}

#[test]
fn api_keys_are_allowed_in_headers_only() {
    let key = [("OPENAI_API_KEY", "sk-test-key")];
    for request in [
        "{url: 'http://h/${OPENAI_API_KEY}'}",
        "{url: 'http://h/', query: {k: '${OPENAI_API_KEY}'}}",
        "{url: 'http://h/', body: {k: ['${OPENAI_API_KEY}']}}",
    ] {
        let output = faults::run(yaml(&format!("http: {request}")), &[], &key);
        let lines = faults::lines(&faults::faults(&output));
        assert!(lines.len() == 1 && lines[0].contains("is allowed in headers only"), "{lines:#?}");
    }
}

#[test]
fn offline_allows_this_machine_only() {
    let server = ModelServer::always(ok());
    let call = call_of(&crew(&server, "http: {url: '${URL}/'}").args(&["--offline"]).run());
    assert_eq!(output(&call), "fine");
    // crew does not even resolve the host.
    let started = Instant::now();
    let ended =
        Crew::new(yaml("http: {url: 'http://api.example.invalid/'}")).args(&["--offline"]).run();
    let call = call_of(&ended);
    assert_eq!((&call["status"], output(&call)), (&json!("rejected"), "[not run: --offline]"));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn proxies_are_used_except_for_this_machine() {
    let proxy = ModelServer::always(ok());
    let server = ModelServer::always(ok());
    for (url, asked) in [("http://tickets.example.invalid", &proxy), (&server.origin(), &server)] {
        let ended = Crew::new(yaml("http: {url: '${URL}/x'}"))
            .env("http_proxy", &proxy.origin())
            .env("URL", url)
            .run();
        assert_eq!(output(&call_of(&ended)), "fine");
        assert!(one(asked).path.ends_with("/x"));
    }
    assert_eq!(one(&proxy).path, "http://tickets.example.invalid/x");
    let crew = Crew::check(yaml("http: {url: 'http://tickets.example.invalid/x'}"));
    let ended = crew.env("http_proxy", "socks5://p").run_as_is();
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("http_proxy is not the URL of an http or"));
}

#[test]
fn check_shows_method_and_hosts() {
    let crew = Crew::check(yaml(indoc! {"
        http:
          method: put
          url: 'HTTP://Example.COM:8080/secret/{{ input }}?key=0123'
          body: 1
          allow_hosts: [cdn.example.com, '127.0.0.1:99', files.cdn.example.com]
    "}));
    let shown = crew.run_as_is().stdout;
    for part in [
        "PUT http://example.com:8080 (redirects:",
        "cdn.example.com,",
        "127.0.0.1:99,",
        "files.cdn",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("0123"));
}

/// Keys of a tool and their one fault.
const FAULTS: &[(&str, &str)] = &[
    ("http: {method: GET}", "tools.t.http 4:5 .. the request has no url"),
    ("http: {url: 'ftp://h/'}", "tools.t.http.url 4:17 .. expected a URL"),
    ("http: {url: 'http://h:99999/'}", "tools.t.http.url 4:17 .. invalid port .. https://api."),
    (
        "http: {url: 'http://h/', headers: {Content-Type: text/plain}, body: x}",
        "tools.t.http.headers.Content-Type 4:54 .. sent as JSON",
    ),
    (
        "http: {url: '{{ input }}'}",
        "tools.t.http.url 4:17 .. templates are not allowed in the scheme, the host",
    ),
    ("http: {url: 'http://{{ input }}/'}", "tools.t.http.url 4:17 .. templates are not allowed in"),
    (
        "http: {url: 'http://h:{{ input }}/'}",
        "tools.t.http.url 4:17 .. templates are not allowed in",
    ),
    ("http: {url: 'http://h{{ input }}'}", "tools.t.http.url 4:17 .. templates are not allowed in"),
    ("http: {url: 'http://u:p@h/'}", "tools.t.http.url 4:17 .. put credentials in headers"),
    ("http: {url: 'http://h/#x'}", "tools.t.http.url 4:17 .. the part after # is never sent"),
    (
        "http: {url: 'http://h/?a={{ input }}'}",
        "tools.t.http.url 4:17 .. after the ? .. under query:",
    ),
    ("http: {url: 'http://h/a/../b'}", "tools.t.http.url 4:17 .. not allowed in the path"),
    ("http: {url: 'http://h/a\\b'}", "tools.t.http.url 4:17 .. \\ is not allowed in the path"),
    ("http: {url: 'http://h/{{ nope }}'}", "tools.t.http.url 4:30 .. \"nope\" is not defined here"),
    (
        "http: {url: 'http://h/', body: [{a: '{{ nope }}'}]}",
        "tools.t.http.body[0].a 4:45 .. not defined",
    ),
    (
        "http: {url: 'http://h/', query: {'{{ input }}': 1}}",
        "tools.t.http.query[\"{{ input }}\"] 4:38 .. templates do not work in names",
    ),
    (
        "http: {url: 'http://h/', body: {a: {'{{ input }}': 1}}}",
        "tools.t.http.body.a[\"{{ input }}\"] 4:41 .. templates do not work in names",
    ),
    ("http: {url: 'http://h/', query: {a: [1]}}", "tools.t.http.query.a 4:41 .. expected a text"),
    (
        "http: {url: 'http://h/', headers: {'a b': c}}",
        "tools.t.http.headers[\"a b\"] 4:40 .. is not a header name",
    ),
    (
        "http: {url: 'http://h/', headers: {Host: c}}",
        "tools.t.http.headers.Host 4:40 .. crew sets the header",
    ),
    (
        "http: {url: 'http://h/', method: DELTE}",
        "tools.t.http.method 4:38 .. there is no method \"DELTE\" .. did you mean \"DELETE\"?",
    ),
    (
        "http: {url: 'http://h/', method: GET, body: 1}",
        "tools.t.http.method 4:38 .. a GET request has no body",
    ),
    (
        "http: {url: 'http://h/', allow_hosts: ['*.h']}",
        "tools.t.http.allow_hosts[0] 4:44 .. is not a host",
    ),
    (
        "http: {url: 'http://169.254.169.254/x'}",
        "tools.t.http.url 4:17 .. a link-local address .. allow_hosts",
    ),
    ("http: {url: 'http://0251.0376.169.254/x'}", "tools.t.http.url 4:17 .. a link-local address"),
    ("http: {url: 'http://h/', methd: x}", "tools.t.http.methd 4:30 .. did you mean \"method\"?"),
    (
        "{http: {url: 'http://h/'}, shell: x}",
        "tools.t 3:3 .. has both a shell line and an http request",
    ),
    ("{http: {url: 'http://h/'}, cwd: x}", "tools.t.cwd 4:32 .. for tools that start a program"),
    ("{description: x}", "tools.t 3:3 .. has nothing to run .. http:"),
];

#[test]
fn faults_of_a_request_are_found_before_anything_runs() {
    let tool = |tool: &str| {
        formatdoc! {"
            tools:
              t:
                {tool}
        "}
    };
    for (request, fault) in FAULTS {
        expect_in(&tool(request), &[fault]);
    }
    let listed = "{http: {url: 'http://169.254.169.254/x', allow_hosts: [169.254.169.254]}}";
    let good = format!("{}{}{}", faults::OFFLINE, tool(listed), faults::AGENT);
    faults::expect_good(&good, &[], &[]);
}

#[test]
fn the_example_of_the_docs_works() {
    let page = include_str!("../../../docs/tools.md");
    let mut blocks = page.split("```yaml fragment\n");
    let example = blocks.find(|block| block.contains("    http:\n")).unwrap();
    let example = example.split("```").next().unwrap();
    let server = ModelServer::always(whole(200, &[("content-type", "application/json")], "{}"));
    let here = example.replace("https://tickets.example.com", "${URL}");
    assert_ne!(here, example);
    let ended = Crew::new(format!("{here}agents:\n  a: {{model: offline, tools: [ticket]}}\n"))
        .env("URL", &server.origin())
        .env("TICKETS_TOKEN", "0123456789")
        .run();
    assert_eq!(output(&call_of(&ended)), "{}");
    let request = one(&server);
    assert_eq!((&*request.method, &*request.path), ("PUT", "/api/tickets/42?notify=false"));
    assert_eq!(request.body, json!({"state": "open", "tags": [], "source": "crew"}));
    assert_eq!(request.header("authorization"), Some("Bearer 0123456789"));
}
