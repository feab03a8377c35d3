use super::*;

const TEXT: &str = r#"# The *disk*

It is full, since the **journal** has grown without bound; see [the manual](https://x.test/a).
A second line of the same paragraph.

1. Run `journalctl`
   - first `--rotate`
   - then `--vacuum-size=1G`
2. Set a limit

> Nothing was deleted.

| mount | used |
|-------|-----:|
| / | 98 % |
| /home/with/a/long/name | 41 % |

```sh
systemctl   restart x
```
---
- [x] done
"#;

#[test]
fn every_kind_of_block_has_its_form() {
    let expected = "\
# The disk

It is full, since the journal has grown
without bound; see the manual
(https://x.test/a).
A second line of the same paragraph.

1. Run journalctl
   - first --rotate
   - then --vacuum-size=1G
2. Set a limit

│ Nothing was deleted.

mount                   used
/                       98 %
/home/with/a/long/name  41 %

    systemctl   restart x

────────────────────────────────────────

- [x] done
";
    assert_eq!(markdown(TEXT, 40, false), expected);
}

#[test]
fn a_table_that_is_too_wide_is_a_list() {
    let text = "| a | b |\n|---|---|\n| one | two three |\n| four | five |\n";
    let expected = "- a: one\n  b: two\n    three\n- a: four\n  b: five\n";
    assert_eq!(markdown(text, 11, false), expected);
}

#[test]
fn styles_change_no_text() {
    let coloured = markdown(TEXT, 40, true);
    assert!(coloured.starts_with("\u{1b}[1mThe\u{1b}[0m \u{1b}["), "{coloured:?}");
    let plain = markdown(TEXT, 40, false);
    assert_eq!("# ".to_owned() + &sanitize(&coloured), plain);
}

#[test]
fn hostile_text_stays_text() {
    let text = "&#27;[2J a \u{1b}[31mb &#x9b;1m &#8238;c [x](<http://h/&#27;[2J>) `\u{7}`\n\n\
                <b>html</b>\n\n    &#27;[2J\n";
    let shown = markdown(text, 80, false);
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    assert!(!shown.contains('\u{202e}'), "{shown:?}");
    assert!(shown.contains("<b>html</b>"), "{shown}");
}

#[test]
fn deep_nesting_ends_in_time_and_size() {
    for piece in ["> ", "- ", "* ", "[", "**", "`", "1. ", "<", "|"] {
        let text = piece.repeat(MAX_MARKDOWN / piece.len() / 4) + "x\n" + &"word ".repeat(10_000);
        let start = std::time::Instant::now();
        let shown = markdown(&text, 80, false);
        assert!(start.elapsed().as_secs() < 20, "{piece}: {:?}", start.elapsed());
        assert!(shown.len() < 20 * text.len(), "{piece}: {}", shown.len());
    }
}
