//! Filters that see attributes of what is undefined as undefined: of the instances of an agent,
//! some may have no `data`.

use minijinja::value::Rest;
use minijinja::{Environment, Error, State, Value};

/// Adds the filters in place of the engine's own.
pub fn add(environment: &mut Environment<'_>) {
    environment.add_filter("selectattr", |state: &mut State, items: Value, rest: Rest<Value>| {
        by_attribute(state, &items, &rest, true)
    });
    environment.add_filter("rejectattr", |state: &mut State, items: Value, rest: Rest<Value>| {
        by_attribute(state, &items, &rest, false)
    });
}

/// The items whose attribute passes the test, or does not pass it.
fn by_attribute(
    state: &mut State,
    items: &Value,
    rest: &[Value],
    wanted: bool,
) -> Result<Value, Error> {
    let mut found = Vec::new();
    let path = rest.first().and_then(Value::as_str).unwrap_or_default();
    for item in items.try_iter()? {
        let value = attribute(&item, path)?;
        let passes = match rest.get(1).and_then(Value::as_str) {
            None => value.is_true(),
            // No comparison with what is undefined is true.
            Some(test) if value.is_undefined() => test == "undefined",
            Some(test) => {
                let arguments: Vec<Value> =
                    std::iter::once(value).chain(rest[2..].iter().cloned()).collect();
                state.perform_test(test, &arguments)?
            }
        };
        if passes == wanted {
            found.push(item);
        }
    }
    Ok(Value::from(found))
}

fn attribute(item: &Value, path: &str) -> Result<Value, Error> {
    let mut value = item.clone();
    for name in path.split('.') {
        if value.is_undefined() {
            break;
        }
        value = match name.parse::<usize>() {
            Ok(index) => value.get_item_by_index(index)?,
            Err(_) => value.get_attr(name)?,
        };
    }
    Ok(value)
}
