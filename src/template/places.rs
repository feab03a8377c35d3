//! Templates in places where not every text may stand: in a path, in JSON.

use std::fmt::Write;
use std::sync::LazyLock;

use minijinja::{Environment, ErrorKind, Output, State, Value};
use serde_json::Value as Json;

use crate::template::{ENVIRONMENT, FUEL, Template, TemplateError, environment, explain, write};

static ENCODING: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut encoding = environment(FUEL);
    encoding.set_formatter(encode);
    encoding
});

/// Whatever a template fills in, percent-encoded; what the file says itself stays.
fn encode(out: &mut Output, _: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    let mut text = String::new();
    write(value, &mut text)?;
    for byte in text.bytes() {
        let written = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.write_char(char::from(byte))
            }
            _ => write!(out, "%{byte:02X}"),
        };
        written.map_err(|_| minijinja::Error::new(ErrorKind::WriteFailure, "cannot write"))?;
    }
    Ok(())
}

impl Template {
    /// As [`render`](Self::render), for one segment of a URL's path: whatever fills the template
    /// is percent-encoded. What comes out may still be empty, or dots alone.
    pub fn render_encoded(&self, context: Value) -> Result<String, TemplateError> {
        self.render_in(&ENCODING, context)
    }

    /// The JSON that the template stands for: where it is nothing but one pair of braces the value
    /// inside them, with its type, and else a text.
    pub fn evaluate(&self, context: Value) -> Result<Json, TemplateError> {
        // What stands between the first and the last braces is one expression only if there are no
        // others between them.
        let expression =
            inside(&self.source).and_then(|code| ENVIRONMENT.compile_expression(code).ok());
        let Some(expression) = expression else { return self.render(context).map(Json::String) };
        let value = expression.eval(context).map_err(|error| explain(&error))?;
        if value.is_undefined() {
            return Err(TemplateError("undefined value".to_owned()));
        }
        serde_json::to_value(&value).map_err(|error| TemplateError(error.to_string()))
    }
}

fn inside(source: &str) -> Option<&str> {
    let code = source.strip_prefix("{{")?.strip_suffix("}}")?;
    // The signs that take away white space around the braces.
    let code = code.strip_prefix(['-', '+']).unwrap_or(code);
    Some(code.strip_suffix(['-', '+']).unwrap_or(code))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::template::{Vars, tool_context};

    fn context() -> Value {
        let arguments = json!({"n": 7, "f": 1.5, "on": true, "none": null, "list": [1, {"b": 2}],
            "text": "a/b?c#d", "dots": "..", "hostile": "{{ n }}", "ü": 1});
        let vars = Vars::new(json!({"deep": {"z": 1, "a": 2}}));
        tool_context("in put", &vars, arguments.as_object().unwrap())
    }

    #[test]
    fn what_fills_a_segment_is_encoded_and_the_rest_is_not() {
        for (source, rendered) in [
            ("a%20b:{{ text }}", "a%20b:a%2Fb%3Fc%23d"),
            ("{{ dots }}", ".."),
            ("{{ text | safe }}", "a%2Fb%3Fc%23d"),
            ("{% if on %}x{{ input }}{% endif %}", "xin%20put"),
            ("{% set x %}{{ text }}{% endset %}{{ x }}", "a%252Fb%253Fc%2523d"),
            ("{{ list }}", "%5B1%2C%7B%22b%22%3A2%7D%5D"),
            ("{{ 'é\\n\\\\%' }}", "%C3%A9%0A%5C%25"),
        ] {
            let template = Template::parse(source).unwrap();
            assert_eq!(template.render_encoded(context()).as_deref(), Ok(rendered), "{source}");
        }
    }

    #[test]
    fn a_single_template_keeps_its_type() {
        for (source, value) in [
            ("{{ n }}", json!(7)),
            ("{{n}}", json!(7)),
            ("{{- n -}}", json!(7)),
            ("{{ f }}", json!(1.5)),
            ("{{ on }}", json!(true)),
            ("{{ none }}", json!(null)),
            ("{{ list }}", json!([1, {"b": 2}])),
            ("{{ vars.deep }}", json!({"z": 1, "a": 2})),
            ("{{ text }}", json!("a/b?c#d")),
            ("{{ hostile }}", json!("{{ n }}")),
            ("{{ '}} {{' }}", json!("}} {{")),
            (" {{ n }}", json!(" 7")),
            ("{{ n }}{{ n }}", json!("77")),
            ("{{ '{{' }}{{ '}}' }}", json!("{{}}")),
            ("{{ n }}%", json!("7%")),
            ("{% if on %}{{ n }}{% endif %}", json!("7")),
            ("plain", json!("plain")),
        ] {
            let template = Template::parse(source).unwrap();
            assert_eq!(template.evaluate(context()), Ok(value), "{source}");
        }
        assert!(Template::parse("{{ nope }}").unwrap().evaluate(context()).is_err());
    }
}
