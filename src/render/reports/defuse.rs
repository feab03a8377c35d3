//! Makes the text of a model harmless in a page of Markdown, with its formatting where possible.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::text::{inline, sanitize};

/// Each pass escapes at least one character more. Text that is not made to be hostile takes two.
const MAX_PASSES: usize = 8;

/// The text as Markdown that has no HTML and loads no images, and that ends where it ends.
pub fn block(original: &str) -> String {
    let Some(text) = without_html(&sanitize(original)) else { return fenced(original) };
    // What follows it must not become a part of it, as after a code block without an end.
    let probe = format!("{text}\n\n# end\n");
    let ends = Parser::new(&probe).last();
    if matches!(ends, Some(Event::End(TagEnd::Heading(_)))) { text } else { fenced(original) }
}

/// The text as it is, in a code block.
pub fn fenced(text: &str) -> String {
    let text = sanitize(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}", text.trim_end())
}

/// The text on one line, without a meaning in Markdown; fit for the cell of a table.
pub fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in inline(text).chars() {
        if matches!(
            c,
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '#' | '&' | '!' | '@'
        ) {
            line.push('\\');
        }
        line.push(c);
    }
    line
}

/// `None` where one escape changes the meaning of the rest again and again.
fn without_html(text: &str) -> Option<String> {
    let mut text = text.to_owned();
    for _ in 0..MAX_PASSES {
        let escaped = escape_outside_code(&text);
        if escaped == text {
            return Some(text);
        }
        text = escaped;
    }
    None
}

fn escape_outside_code(text: &str) -> String {
    // Readers differ in whether they know tables, and so in what is code.
    let readings = [Options::empty(), Options::ENABLE_TABLES];
    let code = readings.map(|options| code_ranges(text, options));
    let is_code = |at: usize| {
        code.iter().all(|ranges| {
            let next = ranges.partition_point(|range| range.end <= at);
            ranges.get(next).is_some_and(|range| range.start <= at)
        })
    };
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        match c {
            '<' if !is_code(at) => escaped.push_str("&lt;"),
            '[' if escaped.ends_with('!') && !is_code(at) => escaped.push_str("\\["),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The places of code, in their order.
fn code_ranges(text: &str, options: Options) -> Vec<Range<usize>> {
    let is_code =
        |event: &Event<'_>| matches!(event, Event::Code(_) | Event::Start(Tag::CodeBlock(_)));
    let events = Parser::new_ext(text, options).into_offset_iter();
    events.filter(|(event, _)| is_code(event)).map(|(_, range)| range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatting_stays_and_html_goes() {
        for (text, expected) in [
            ("# A\n\n- *b* `<c>`", "# A\n\n- *b* `<c>`"),
            ("a <script>b</script>", "a &lt;script>b&lt;/script>"),
            ("```\n<b>\n```", "```\n<b>\n```"),
            ("![x](https://e/?q)", "!\\[x](https://e/?q)"),
            ("a\u{202e}b\u{1b}[31m", "ab"),
            // A code block without an end would swallow what follows.
            ("a\n```\nb <i>", "````text\na\n```\nb <i>\n````"),
        ] {
            assert_eq!(block(text), expected, "{text:?}");
        }
        assert_eq!(line("a|b\n<c> `d`"), "a\\|b \\<c\\> \\`d\\`");
    }

    proptest::proptest! {
        #[test]
        fn no_text_has_html_or_an_image(parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "<div>", "<script>x</script>", "`", "```", "\n", "\n\n", "    ", "> ", "- ", "![a](b)",
                "<!--", "-->", "<?", "\\", "a", "<a@b.c>", "~~~", "| a |\n|---|\n", "<pre>",
            ]), 0..24))
        {
            let text = format!("{}\n\n# end\n", block(&parts.concat()));
            let is_hostile = |event: &Event<'_>| {
                matches!(event, Event::Html(_) | Event::InlineHtml(_) | Event::Start(Tag::Image { .. }))
            };
            for options in [Options::empty(), Options::ENABLE_TABLES] {
                let events: Vec<Event<'_>> = Parser::new_ext(&text, options).collect();
                proptest::prop_assert!(!events.iter().any(is_hostile), "{text}");
                let last = events.last();
                proptest::prop_assert!(matches!(last, Some(Event::End(TagEnd::Heading(_)))));
            }
        }
    }
}
