#![allow(clippy::unwrap_used)]

use serde_json::json;

use proptest::prelude::*;

use super::*;

fn render(source: &str) -> Result<String, TemplateError> {
    let vars = Vars::new(json!({
        "service": "ssh", "n": 3, "on": true, "nothing": null, "f": 1.5,
        "list": ["a", 1, {"z": 1, "a": 2}], "hostile": "{{ input }}"
    }));
    let context =
        agent_context("the \"input\" <b>", &vars, [("disk", Answer::new("92% {{ full }}", None))]);
    Template::parse(source)?.render(context)
}

#[test]
fn values_come_out_as_one_would_write_them() {
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
fn what_cannot_be_rendered_is_an_error() {
    for source in ["{{ nope }}", "{{ vars.nope }}", "{{", "{% include 'x' %}", "{{ debug() }}"] {
        assert!(render(source).is_err(), "{source}");
    }
}

#[test]
fn an_endless_loop_ends() {
    let nested = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    let error = render(nested).unwrap_err();
    assert_eq!(error.0, "the template takes too many steps");
}

#[test]
fn what_doubles_again_and_again_ends() {
    let doubled = "{% set a = a ~ a %}".repeat(100);
    let source = format!("{{% set a = input %}}{doubled}{{{{ a | length }}}}");
    assert_eq!(render(&source).unwrap_err().0, "the template takes too many steps");
    let source = format!("{{{{ '{}' }}}}", "x".repeat(LARGEST + 1));
    assert_eq!(render(&source).unwrap_err().0, "the template yields more than 16 MiB");
}

#[test]
fn nothing_in_a_template_grows_in_depth() {
    for source in [
        "{% set a = namespace(x=[1]) %}{{ a }}",
        "{{ dict(a=vars, b=vars) }}",
        "{{ vars.list | batch(9, vars) }}",
        "{{ vars.list | zip(vars.list) }}",
        "{{ '%1000000000d' | format(1) }}",
    ] {
        assert!(render(source).is_err(), "{source}");
    }
    assert_eq!(render("{{ vars.list | tojson }}").unwrap(), r#"["a",1,{"z":1,"a":2}]"#);
    assert_eq!(render("{{ [1] | tojson(indent=1000000000) }}").unwrap(), "[\n  1\n]");
}

#[test]
fn a_tool_sees_its_arguments() {
    let arguments = json!({"path": "/tmp/{{ input }}", "all": false});
    let context = tool_context("in", &Vars::new(json!({})), arguments.as_object().unwrap());
    let template = Template::parse("{{ path }} {{ all }} {{ input }}").unwrap();
    assert_eq!(template.render(context).as_deref(), Ok("/tmp/{{ input }} false in"));
}

#[test]
fn the_input_alone_is_what_the_engine_makes_of_it() {
    let (template, input) = (Template::parse(INPUT).unwrap(), "a {{ b }}\n");
    let by_engine = template.render(agent_context(input, &Vars::new(json!({})), []));
    assert_eq!(template.fill(input, || unreachable!()), by_engine);
}

#[test]
fn an_unknown_filter_is_found_by_trying() {
    let context = || agent_context("", &Vars::new(json!({})), []);
    assert!(Template::parse("{{ input|nope }}").unwrap().try_out(context()).is_err());
    assert!(Template::parse("{{ input|upper }}{{ x }}").unwrap().try_out(context()).is_ok());
}

proptest! {
    #[test]
    fn a_literal_is_what_the_engine_makes_of_it(source in "[{}%# a\r\n]{0,8}") {
        let template = Template::new(source);
        if template.is_literal() {
            let by_engine = ENVIRONMENT.render_str(&template.source, ()).unwrap();
            prop_assert_eq!(template.render(Value::UNDEFINED), Ok(by_engine));
        }
    }
}
