#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::json;

use proptest::prelude::*;

use super::engine::{ENVIRONMENT, MAX_CODE, Wait, ready, run_limited};
use super::*;

fn render(source: &str) -> Result<String, TemplateError> {
    let vars = Vars::new(json!({
        "service": "ssh", "n": 3, "on": true, "nothing": null, "f": 1.5,
        "list": ["a", 1, {"z": 1, "a": 2}], "hostile": "{{ input }}"
    }));
    let context = agent_context(
        &"the \"input\" <b>".into(),
        &vars,
        [("disk", AnswerContext::new("92% {{ full }}", None))],
    );
    Template::parse(source)?.render(context)
}

#[test]
fn values_are_rendered_as_in_yaml_and_json() {
    for (source, rendered) in [
        ("plain", "plain"),
        ("{{ input }}", "the \"input\" <b>"),
        ("{{ vars.service }}:{{ vars.n }}:{{ vars.on }}:{{ vars.f }}", "ssh:3:true:1.5"),
        ("<{{ vars.nothing }}>", "<>"),
        ("{{ vars.list }}", r#"["a",1,{"z":1,"a":2}]"#),
        ("{{ vars.hostile }}", "{{ input }}"),
        ("{{ agents.disk.output }}", "92% {{ full }}"),
        (r#"{{ agents["disk"].output }}"#, "92% {{ full }}"),
        ("{% for x in range(3) %}{{ x }}{% endfor %}", "012"),
        ("{{ input | length }}", "15"),
        ("a\nb\n", "a\nb"),
    ] {
        assert_eq!(render(source).as_deref(), Ok(rendered), "{source}");
    }
}

#[test]
fn undefined_names_and_unsupported_syntax_are_errors() {
    for source in ["{{ nope }}", "{{ vars.nope }}", "{{", "{% include 'x' %}", "{{ debug() }}"] {
        assert!(render(source).is_err(), "{source}");
    }
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    let nested = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    let error = render(nested).unwrap_err();
    assert_eq!(error.message, "the template takes too many steps");
}

#[test]
fn text_of_exponential_size_runs_out_of_fuel() {
    let doubled = "{% set a = a ~ a %}".repeat(100);
    let source = format!("{{% set a = input %}}{doubled}{{{{ a | length }}}}");
    assert_eq!(render(&source).unwrap_err().message, "the template takes too many steps");
    let source = format!("{}{{{{ vars.n }}}}", "x".repeat(MAX_OUTPUT));
    assert_eq!(render(&source).unwrap_err().message, "the template yields more than 16 MiB");
}

#[test]
fn templates_may_build_lists_and_mappings() {
    for (source, rendered) in [
        ("{{ [vars.n, input | length] }}", "[3,15]"),
        ("{{ {'a': vars.n} }}", r#"{"a":3}"#),
        ("{{ dict(a=vars.n) }}", r#"{"a":3}"#),
        ("{% set a = [1] + [2] %}{{ a * 2 }}", "[1,2,1,2]"),
        ("{% set a = (1, vars.n) %}{% set b = a, a %}{{ b }}", "[[1,3],[1,3]]"),
        ("{% for a in [vars.n, vars.f] %}{{ a }} {% endfor %}", "3 1.5 "),
        ("{{ vars.list | batch(2, 0) | list }}", r#"[["a",1],[{"z":1,"a":2},0]]"#),
        ("{{ vars.list | zip(vars.list) | list | length }}", "3"),
        ("{{ vars.nope | default([vars.n]) }}", "[3]"),
        ("{{ 1 if vars.nope is defined else [vars.n, 4] }}", "[3,4]"),
        ("{{ vars.list | tojson }}", r#"["a",1,{"z":1,"a":2}]"#),
        ("{{ [1] | tojson(indent=1000000000) }}", "[\n  1\n]"),
    ] {
        assert_eq!(render(source).as_deref(), Ok(rendered), "{source}");
    }
}

#[test]
fn every_construct_of_the_language_parses() {
    for source in [
        "{{ input }} and { } and [a, b]",
        "{{ vars.list[0] }}{{ vars['a']['b'] }}{{ agents[\"my-agent\"].output | upper }}",
        "{{ input | replace('a', \"b\") | default(vars.x, true) }}",
        "{% for key, value in vars.map | items %}{{ loop.index + 1 }}{% endfor %}",
        "{% for one in [input, vars.x] %}{{ one }}{% else %}none{% endfor %}",
        "{% if vars.x in ['a', 'b'] and not (input or vars.y) %}{% elif vars.n > 2 %}{% endif %}",
        "{{ vars.list | map(attribute='name') | join(', ') }}",
        "{% set a = [1, 'b', true] %}{% with b = 1, c = a[1:2] %}{{ range(1, 3) }}{% endwith %}",
        "{{ 'a' if vars.x is defined else 'b' ~ vars.y }}{{ -1 + 2 }}",
        "{# {{ [[x, x], [x, x]] }} #}{% raw %}{{ {} }}{% endraw %}",
    ] {
        assert!(Template::parse(source).is_ok(), "{source}");
    }
    assert!(Template::parse("{{ not closed [").is_err());
}

#[test]
fn no_value_can_contain_itself() {
    assert!(render("{% set a = namespace(x=[1]) %}{{ a }}").is_err());
}

#[test]
fn a_value_of_exponential_size_ends_the_rendering() {
    let leaf = "x".repeat(1000);
    let double = "{% set a = [a, a] %}".repeat(60);
    let source = |end: &str| format!("{{% set a = ['{leaf}'] %}}{double}{end}");
    assert_eq!(render(&source("{{ a | length }}")).as_deref(), Ok("2"));
    for end in ["{{ a }}", "{{ a | tojson }}"] {
        let error = render(&source(end)).unwrap_err();
        assert_eq!(error.message, "the template yields more than 16 MiB");
    }
    let number = "{{ '%1000000000d' | format(1) }}";
    assert_eq!(render(number).unwrap_err().message, "the template takes too many steps");
}

#[test]
fn work_beyond_its_time_is_given_up() {
    let work = |time| {
        ready(run_limited(Wait::Thread, Duration::from_millis(500), move || {
            std::thread::sleep(time);
            Ok(7)
        }))
    };
    assert_eq!(work(Duration::ZERO), Ok(7));
    let error = work(Duration::from_secs(60)).unwrap_err();
    assert_eq!(error.message, "the template takes longer than 0.5 s");
}

#[test]
fn the_code_of_a_template_has_a_maximum_length() {
    for (open, piece, close) in [
        ("{{ 1", " - 1", " }}"),
        ("{{ ", "-", "1 }}"),
        ("{{ input", "|upper", " }}"),
        ("{{ vars", ".a", " }}"),
        ("{{ 1", " if 1 else 1", " }}"),
        ("{% if 1 %}", "{% elif 1 %}", "{% endif %}"),
        ("", "{{ input }}", ""),
        ("", "{%raw%}{%endraw%}", ""),
        ("{% set a = 1 %}", "{% set a = [a] %}", "{{ a }}"),
        ("{% set a = [1] %}{{ a", "[:]", " }}"),
    ] {
        let source = |times| format!("{open}{}{close}", piece.repeat(times));
        assert!(Template::parse(source(20)).is_ok(), "{piece}");
        assert!(Template::parse(source(20_000)).is_err(), "{piece}");
        // The longest code neither overflows the stack nor runs without end.
        let code = source(2).len() - source(1).len();
        let _ = Template::parse(source((MAX_CODE - 100) / code)).and_then(|template| {
            let _ = template.names();
            template.render(agent_context(&"".into(), &Vars::new(json!({"a": 1})), []))
        });
    }
}

#[test]
fn a_tool_sees_its_arguments() {
    let arguments = json!({"path": "/tmp/{{ input }}", "all": false});
    let context = tool_context(&"in".into(), &Vars::new(json!({})), arguments.as_object().unwrap());
    let template = Template::parse("{{ path }} {{ all }} {{ input }}").unwrap();
    assert_eq!(template.render(context).as_deref(), Ok("/tmp/{{ input }} false in"));
}

#[test]
fn the_input_alone_equals_the_engines_rendering() {
    let object = json!({"b": "{{ c }}", "a": [1, 2.5, null, true, 12345678901234567890_u64]});
    let object = RunInput::object(object.as_object().unwrap().clone());
    let template = Template::parse(INPUT).unwrap();
    for input in ["a {{ b }}\n".into(), object] {
        let by_engine = template.render(agent_context(&input, &Vars::new(json!({})), []));
        assert_eq!(ready(template.fill(&input, || unreachable!(), Wait::Thread)), by_engine);
    }
}

#[test]
fn templates_see_the_parts_of_an_object() {
    let input = RunInput::parsed(r#"{"title": "{{ x }}", "tags": ["a", "b"]}"#.to_owned());
    let context = || agent_context(&input, &Vars::new(json!({})), []);
    let fill =
        |source: &str| ready(Template::parse(source).unwrap().fill(&input, context, Wait::Thread));
    assert_eq!(fill("{{ input.title }} {{ input.tags[1] }}").as_deref(), Ok("{{ x }} b"));
    assert_eq!(fill("{{ input }}").as_deref(), Ok(input.text()));
    assert!(fill("{{ input.titel }}").is_err());
    let text = RunInput::parsed("[1]".to_owned());
    assert!(!text.is_object() && text.text() == "[1]");
}

#[test]
fn a_trial_finds_an_unknown_filter() {
    let context = || agent_context(&"".into(), &Vars::new(json!({})), []);
    assert!(Template::parse("{{ input|nope }}").unwrap().try_out(context()).is_err());
    assert!(Template::parse("{{ input|upper }}{{ x }}").unwrap().try_out(context()).is_ok());
}

proptest! {
    #[test]
    fn a_literal_equals_the_engines_rendering(source in "[{}%# a\r\n]{0,8}") {
        let template = Template::new(source);
        if template.is_literal() {
            let by_engine = ENVIRONMENT.render_str(template.source(), ()).unwrap();
            prop_assert_eq!(template.render(minijinja::Value::UNDEFINED), Ok(by_engine));
        }
    }
}
