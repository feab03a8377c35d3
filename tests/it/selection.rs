//! `--agents`: names, patterns and exclusions; and command lines that crew rejects.

use indoc::indoc;

use crate::support::crew::Crew;
use crate::support::faults::{faults, lines};

const YAML: &str = indoc! {"
    defaults: {model: offline}
    agents:
      review-a: {}
      review-b: {}
      docs: {}
      verdict: {needs: [review-a, review-b]}
      last: {needs: [verdict]}
"};

/// The agents that run with these options.
fn selected(args: &[&str]) -> Vec<String> {
    let report = Crew::new(YAML).args(&["-q"]).args(args).run().report(0);
    let mut agents: Vec<_> = report["agents"].as_object().unwrap().keys().cloned().collect();
    agents.sort();
    agents
}

#[test]
fn patterns_select_and_exclude_agents() {
    for (args, expected) in [
        (&["-a", "review-*"][..], "review-a review-b"),
        (&["-a", "review-?,docs"], "docs review-a review-b"),
        (&["-a", "!docs"], "last review-a review-b verdict"),
        (&["-a", "*,!verdict", "-a", "!last"], "docs review-a review-b"),
        (&["-a", "verdict"], "review-a review-b verdict"),
    ] {
        assert_eq!(selected(args).join(" "), expected, "{args:?}");
    }
    let folder = Crew::new(YAML);
    let render = ["render", "-a", "!docs,!last", "-o", "json"];
    let shown = Crew::at(&folder.path("")).args(&render).run_as_is().report(0);
    assert_eq!(shown["agents"].as_object().unwrap().len(), 3, "{shown:#}");
}

#[test]
fn a_rerun_takes_patterns_too() {
    let ended = Crew::new(YAML).args(&["-q", "--output-file", "r.json"]).run();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let rerun = ["rerun", "r.json", "-a", "review-*,!review-b"];
    let again = Crew::at(ended.path()).args(&rerun).run_as_is();
    assert_eq!(again.status.code(), Some(0), "{}", again.stderr);
    assert!(again.stderr.contains("review-a (selected)"), "{}", again.stderr);
    assert!(!again.stderr.contains("review-b ("), "{}", again.stderr);
}

#[test]
fn selections_that_cannot_be_run_are_explained() {
    for (items, expected) in [
        ("revue-*", "no agent \"revue-*\""),
        ("!dcs", "no agent \"dcs\" | did you mean \"docs\"?"),
        ("!review-a", "review-a is excluded, but verdict needs it | exclude verdict, too"),
        ("docs,!docs", "\"docs,!docs\" leaves no agent"),
    ] {
        let found = lines(&faults(&Crew::new(YAML).args(&["-a", items]).run())).join("\n");
        assert!(found.contains(expected), "{items}: {found}");
    }
}

/// The first tip about a command line in a folder with `agents.yaml`.
fn tip(args: &[&str]) -> String {
    let crew = Crew::new(YAML);
    let ended = Crew::at(&crew.path("")).args(args).run_as_is();
    assert_eq!(ended.status.code(), Some(2), "{args:?}");
    let tip = ended.stderr.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    tip.unwrap_or_else(|| panic!("no tip for {args:?}: {}", ended.stderr)).to_owned()
}

#[test]
fn common_mistakes_on_the_command_line_get_a_tip() {
    for (args, expected) in [
        (&["-c", "agents.yaml", "run", "x"][..], "'crew run -c …'"),
        (&["--agents", "docs", "run"], "'run --agents'"),
        (&["run", "my", "laptop"], "in quotes: 'crew run \"…\"'"),
        (&["my laptop is slow"], "'crew run \"…\"'"),
        (&["agents.yaml"], "'crew run -c agents.yaml'"),
        (&["run", "--agent", "docs"], "'--agents'"),
    ] {
        let tip = tip(args);
        assert!(tip.contains(expected), "{args:?}: {tip}");
    }
}
