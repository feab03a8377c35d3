//! Files of `NAME=VALUE` lines, read as docker compose reads them.
//!
//! A value in single quotes is literal. In double quotes and without quotes, `$NAME` and
//! `${NAME:-default}` are replaced; only double quotes have escapes such as `\n`. Quoted values may
//! span lines.

use std::collections::HashMap;

use super::expand::{Env, is_variable_name};

/// Why a file cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct EnvFileError {
    /// From 1.
    pub line: usize,
    pub message: String,
}

/// The variables of a file in their order; `env` is what is set already and takes precedence where
/// a value refers to a variable.
///
/// # Errors
/// The first line that cannot be read. The message repeats no value: it may be a secret.
pub fn parse(text: &str, env: Env<'_>) -> Result<Vec<(String, String)>, EnvFileError> {
    let text = text.replace("\r\n", "\n");
    let mut reader = Reader { rest: &text, line: 1, env, known: HashMap::new() };
    let mut variables = Vec::new();
    while let Some(name) = reader.name()? {
        if let Some(value) = reader.value(&name)? {
            reader.known.insert(name.clone(), value.clone());
            variables.push((name, value));
        }
    }
    Ok(variables)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    env: Env<'a>,
    known: HashMap<String, String>,
}

impl<'a> Reader<'a> {
    fn fault(&self, message: impl Into<String>) -> EnvFileError {
        EnvFileError { line: self.line, message: message.into() }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    /// The name of the next variable; `None` at the end of the file.
    fn name(&mut self) -> Result<Option<String>, EnvFileError> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.take(blank);
            if self.rest.is_empty() {
                return Ok(None);
            }
            if !self.rest.starts_with('#') {
                break;
            }
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
        if let Some(after) = self.rest.strip_prefix("export ") {
            self.rest = after.trim_start_matches([' ', '\t']);
        }
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let length = self.rest.find(|c| !word(c)).unwrap_or(self.rest.len());
        if length == 0 || self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.fault("expected NAME=VALUE"));
        }
        Ok(Some(self.take(length).to_owned()))
    }

    /// The value after a name. A name alone stands for the variable that is set already, so it
    /// has no value here.
    fn value(&mut self, name: &str) -> Result<Option<String>, EnvFileError> {
        self.blanks();
        if self.rest.is_empty() || self.rest.starts_with(['\n', '#']) {
            self.end_of_line(name)?;
            return Ok(None);
        }
        if !self.rest.starts_with(['=', ':']) {
            return Err(self.fault(format!("expected = after {name}")));
        }
        self.take(1);
        self.blanks();
        let value = match self.rest.chars().next() {
            Some('\'') => self.quoted(name, '\'')?,
            Some('"') => self.quoted(name, '"')?,
            _ => return self.plain(name).map(Some),
        };
        self.end_of_line(name)?;
        Ok(Some(value))
    }

    fn plain(&mut self, name: &str) -> Result<String, EnvFileError> {
        let line = self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        let is_comment = |at: &usize| *at == 0 || line[..*at].ends_with([' ', '\t']);
        let end = line.match_indices('#').map(|(at, _)| at).find(is_comment);
        self.replaced(name, line[..end.unwrap_or(line.len())].trim_end(), false)
    }

    fn quoted(&mut self, name: &str, quote: char) -> Result<String, EnvFileError> {
        let mut escaped = false;
        let end = self.rest[1..].char_indices().find(|(_, c)| {
            let ends = *c == quote && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let Some((end, _)) = end else {
            return Err(self.fault(format!("the value of {name} has no closing {quote}")));
        };
        let inside = &self.rest[1..=end];
        let value = match quote {
            '\'' => inside.replace("\\'", "'"),
            _ => self.replaced(name, inside, true)?,
        };
        self.take(end + 2);
        Ok(value)
    }

    /// The value with `$NAME` and, if it has them, escapes replaced.
    fn replaced(&self, name: &str, text: &str, escapes: bool) -> Result<String, EnvFileError> {
        let mut value = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['$', '\\']) {
            value.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let next = after.chars().next();
            rest = match (&rest[at..=at], next) {
                ("\\", Some(next)) if escapes || next == '$' => {
                    match next {
                        'n' => value.push('\n'),
                        'r' => value.push('\r'),
                        't' => value.push('\t'),
                        '"' | '\\' | '$' => value.push(next),
                        _ => value.extend(['\\', next]),
                    }
                    &after[next.len_utf8()..]
                }
                ("$", Some('$')) => {
                    value.push('$');
                    &after[1..]
                }
                ("$", Some('{')) => {
                    let inside = after[1..].split_once('}');
                    let (inside, rest) = inside.ok_or_else(|| self.unclear(name))?;
                    value.push_str(&self.braced(name, inside)?);
                    rest
                }
                ("$", Some(first)) if first.is_ascii_alphabetic() || first == '_' => {
                    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                    let end = after.find(|c| !word(c)).unwrap_or(after.len());
                    value.push_str(&self.variable(&after[..end]).unwrap_or_default());
                    &after[end..]
                }
                (sign, _) => {
                    value.push_str(sign);
                    after
                }
            };
        }
        value.push_str(rest);
        Ok(value)
    }

    fn braced(&self, name: &str, inside: &str) -> Result<String, EnvFileError> {
        let (variable, default, or_empty) = match inside.split_once(":-") {
            Some((variable, default)) => (variable, default, true),
            None => {
                let (variable, default) = inside.split_once('-').unwrap_or((inside, ""));
                (variable, default, false)
            }
        };
        if !is_variable_name(variable) {
            return Err(self.unclear(name));
        }
        let value = self.variable(variable).filter(|value| !or_empty || !value.is_empty());
        Ok(value.unwrap_or_else(|| default.to_owned()))
    }

    fn unclear(&self, name: &str) -> EnvFileError {
        let message = "is not ${NAME} or ${NAME:-default}; $$ is a literal $";
        self.fault(format!("a ${{ in the value of {name} {message}"))
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.env)(name).or_else(|| self.known.get(name).cloned())
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// The end of a line, perhaps after a comment.
    fn end_of_line(&mut self, name: &str) -> Result<(), EnvFileError> {
        self.blanks();
        if !self.rest.is_empty() && !self.rest.starts_with(['\n', '#']) {
            return Err(self.fault(format!("more text follows the value of {name}")));
        }
        self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<(String, String)>, EnvFileError> {
        parse(text, &|name| (name == "SET").then(|| "env".to_owned()))
    }

    #[test]
    fn values_are_those_of_docker_compose() {
        for (line, value) in [
            ("A=b c ", "b c"),
            ("A = b", "b"),
            ("A: b", "b"),
            ("export A=b", "b"),
            ("A=", ""),
            ("A=b=c", "b=c"),
            ("A=b # comment", "b"),
            ("A=# comment", ""),
            ("A=b#c", "b#c"),
            ("A='b # $SET' # comment", "b # $SET"),
            (r"A='it\'s \n'", r"it's \n"),
            (r#"A="a\tb \"c\" \\ \d""#, "a\tb \"c\" \\ \\d"),
            ("A=\"two\nlines\"", "two\nlines"),
            ("A=${SET}/$SET-$SET2.", "env/env-."),
            ("A=${NONE:-x}${NONE-y}${NONE}", "xy"),
            (r"A=\$SET $$SET $", "$SET $SET $"),
            (r#"A="\$SET ${SET}""#, "$SET env"),
        ] {
            assert_eq!(parsed(line), Ok(vec![("A".into(), value.into())]), "{line}");
        }
        let text = "# first\r\n\r\nA=1\r\nSET\n B=\"${A}2\"\nSET=file\nC=$SET\n";
        let all = [("A", "1"), ("B", "12"), ("SET", "file"), ("C", "env")];
        let all = all.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parsed(text), Ok(all.to_vec()));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_without_its_value() {
        for (text, line) in [
            ("A=1\n=secret", 2),
            ("A=1\nB secret", 2),
            ("A='secret\n\n", 1),
            ("A=\"x\ny\"\nB='secret' more", 3),
            ("A=${secret:?}", 1),
            ("A=${secret", 1),
            ("1A=secret", 1),
        ] {
            let error = parsed(text).map_err(|error| (error.line, error.message));
            assert!(
                error.as_ref().is_err_and(|(at, why)| *at == line && !why.contains("secret")),
                "{text}: {error:?}"
            );
        }
    }
}
