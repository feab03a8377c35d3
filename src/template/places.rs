//! Templates whose place allows only certain text: a segment of a URL's path, a value of JSON.

use minijinja::Value;
use serde_json::Value as Json;

use super::engine::{self, ENCODING, ENVIRONMENT, TemplateError, Wait};
use super::scan::{Piece, PieceKind, pieces};
use super::source::Template;

impl Template {
    /// Renders the template for one segment of a URL's path: values are percent-encoded. The
    /// segment may still be empty, or consist of dots.
    pub fn render_encoded(&self, context: Value) -> Result<String, TemplateError> {
        engine::ready(self.render_in(&ENCODING, context, Wait::Thread))
    }

    /// The JSON of the template: the value itself, with its type, if the template is a single
    /// expression, else a text.
    pub fn evaluate(&self, context: Value) -> Result<Json, TemplateError> {
        let [Piece { kind: PieceKind::Expression, .. }] = pieces(self.source())[..] else {
            return self.render(context).map(Json::String);
        };
        self.run(move |source| {
            let value = ENVIRONMENT.compile_expression(code(source))?.eval(context)?;
            if value.is_undefined() {
                return Err(TemplateError::new("undefined value"));
            }
            engine::to_json(&value)
        })
    }
}

/// The code of a single expression, without the signs that trim white space around it.
fn code(expression: &str) -> &str {
    let code = pieces(expression).first().map(Piece::code).unwrap_or_default();
    let code = code.strip_prefix(['-', '+']).unwrap_or(code);
    code.strip_suffix(['-', '+']).unwrap_or(code)
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
        tool_context(&"in put".into(), &vars, arguments.as_object().unwrap())
    }

    #[test]
    fn only_values_in_a_segment_are_encoded() {
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
    fn a_single_expression_keeps_its_type() {
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
