//! The request of a tool call, made from the tool's templates and the call's arguments.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::plan::{BodyPlan, HttpPlan, is_dots};
use crate::secret::is_telling;
use crate::template::{Template, TemplateError};

/// Bytes of a URL. Servers accept far fewer.
const MAX_URL: usize = 32 << 10;

/// A request that can be repeated after a redirect.
#[derive(Debug, Clone)]
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

    /// The request as a recording holds it: without headers, which may hold a key.
    pub fn to_recorded(&self) -> Value {
        let mut url = self.url.clone();
        let query: Vec<_> = url.query_pairs().into_owned().collect();
        if !query.is_empty() {
            let mut pairs = url.query_pairs_mut();
            pairs.clear();
            for (name, value) in &query {
                pairs.append_pair(name, if is_telling(name) { "redacted" } else { value });
            }
        }
        let mut recorded = json!({"method": self.method.as_str(), "url": url.as_str()});
        if let Some(body) = &self.body {
            let text = || String::from_utf8_lossy(body).into();
            recorded["body"] = serde_json::from_slice(body).unwrap_or_else(|_| text());
        }
        recorded
    }
}

/// Makes the request of a call.
///
/// # Errors
/// A template that cannot be rendered, or a value that is not allowed in its place. The message is
/// for the model.
pub fn fill(plan: &HttpPlan, values: &minijinja::Value) -> Result<Request, String> {
    let text = |error: TemplateError| error.to_string();
    let mut url = plan.origin.clone();
    url.set_path(&path(&plan.path, values)?);
    if !plan.query.is_empty() {
        let mut query = url.query_pairs_mut();
        for (name, template) in &plan.query {
            query.append_pair(name, &template.render(values.clone()).map_err(text)?);
        }
    }
    if url.as_str().len() > MAX_URL {
        return Err(format!("the URL is longer than {} KiB", MAX_URL >> 10));
    }
    let mut headers = HeaderMap::new();
    let body = match &plan.body {
        Some(body) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Some(fill_body(body, values).map_err(text)?.to_string().into_bytes())
        }
        None => None,
    };
    for header in &plan.headers {
        let value = header.value.render(values.clone()).map_err(text)?;
        // The value may hold a secret, so the message does not show it.
        let mut value = HeaderValue::from_str(&value).map_err(|_| {
            format!("the header {} contains characters that HTTP does not allow", header.name)
        })?;
        value.set_sensitive(true);
        headers.insert(header.name.clone(), value);
    }
    Ok(Request { method: plan.method.clone(), url, headers, body })
}

/// Renders segment by segment, so that no value can end its segment or leave the path.
fn path(segments: &[Template], values: &minijinja::Value) -> Result<String, String> {
    let mut path = String::new();
    for template in segments {
        let segment = template.render_encoded(values.clone()).map_err(|error| error.to_string())?;
        if is_dots(&segment) {
            return Err(format!("{segment} is not allowed as a path segment"));
        }
        if segment.is_empty() && !template.is_literal() {
            return Err("a path segment is empty".to_owned());
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
