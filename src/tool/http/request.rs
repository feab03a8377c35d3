//! From a checked tool call to the request, each argument in its place.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;

use crate::plan::hosts::Host;
use crate::plan::{BodyPlan, HttpPlan, is_dots};
use crate::template::{Template, TemplateError};
use crate::tool::context::CallInput;

/// Bytes of an address. Servers take far less.
const LONGEST_URL: usize = 32 << 10;

/// A request that may be sent again, elsewhere.
#[derive(Debug)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Vec<u8>>,
}

impl Request {
    pub fn to_reqwest(&self) -> reqwest::Request {
        let mut request = reqwest::Request::new(self.method.clone(), self.url.clone());
        request.headers_mut().clone_from(&self.headers);
        *request.body_mut() = self.body.clone().map(Into::into);
        request
    }

    pub fn host(&self) -> Host {
        Host::of(&self.url)
    }
}

/// # Errors
/// A template that cannot be filled in, or a value that does not fit its place, as a message for
/// the model.
pub fn fill(plan: &HttpPlan, input: &CallInput<'_>) -> Result<Request, String> {
    let values = input.template_values();
    let text = |error: TemplateError| error.to_string();
    let mut url = plan.origin.clone();
    url.set_path(&path(&plan.path, &values)?);
    if !plan.query.is_empty() {
        let mut query = url.query_pairs_mut();
        for (name, template) in &plan.query {
            query.append_pair(name, &template.render(values.clone()).map_err(text)?);
        }
    }
    if url.as_str().len() > LONGEST_URL {
        return Err(format!("the address would be longer than {} KiB", LONGEST_URL >> 10));
    }
    let mut headers = HeaderMap::new();
    let body = match &plan.body {
        Some(body) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Some(fill_body(body, &values).map_err(text)?.to_string().into_bytes())
        }
        None => None,
    };
    for header in &plan.headers {
        let value = header.value.render(values.clone()).map_err(text)?;
        // No word of the value: it may hold a secret.
        let mut value = HeaderValue::from_str(&value).map_err(|_| {
            format!("the header {} would have characters that HTTP does not allow", header.name)
        })?;
        value.set_sensitive(true);
        headers.insert(header.name.clone(), value);
    }
    Ok(Request { method: plan.method.clone(), url, headers, body })
}

/// Segment by segment: what fills one can neither end it nor lead out of it.
fn path(segments: &[Template], values: &minijinja::Value) -> Result<String, String> {
    let mut path = String::new();
    for template in segments {
        let segment = template.render_encoded(values.clone()).map_err(|error| error.to_string())?;
        if is_dots(&segment) {
            return Err(format!("a part of the address would be {segment} alone"));
        }
        if segment.is_empty() && !template.is_literal() {
            return Err("a part of the address would be empty".to_owned());
        }
        path.push('/');
        path.push_str(&segment);
    }
    Ok(path)
}

fn fill_body(body: &BodyPlan, values: &minijinja::Value) -> Result<Value, TemplateError> {
    Ok(match body {
        BodyPlan::Text(template) => template.evaluate(values.clone())?,
        BodyPlan::List(items) => {
            let items = items.iter().map(|item| fill_body(item, values));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        BodyPlan::Map(entries) => {
            let entries =
                entries.iter().map(|(name, value)| Ok((name.clone(), fill_body(value, values)?)));
            Value::Object(entries.collect::<Result<_, TemplateError>>()?)
        }
        BodyPlan::Plain(value) => value.clone(),
    })
}
