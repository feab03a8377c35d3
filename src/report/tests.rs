//! A report that is read is the report that was written.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::chat::TokenUsage;

const STATUSES: [AgentStatus; 5] = [
    AgentStatus::Succeeded,
    AgentStatus::Failed,
    AgentStatus::TimedOut,
    AgentStatus::Cancelled,
    AgentStatus::Skipped,
];
const REASONS: [CancelKind; 11] = [
    CancelKind::When,
    CancelKind::ToolTimeout,
    CancelKind::AgentTimeout,
    CancelKind::AgentFailed,
    CancelKind::FailIf,
    CancelKind::OutputClosed,
    CancelKind::Drained,
    CancelKind::Timeout,
    CancelKind::Hangup,
    CancelKind::Terminated,
    CancelKind::Interrupted,
];

fn value() -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    plain.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any::<String>(), inner), 0..4).prop_map(|pairs| pairs.into_iter().collect()),
        ]
    })
}

fn reason() -> impl Strategy<Value = CancelReason> {
    let text = || option::of(any::<String>().prop_map(Into::into));
    (select(&REASONS), text(), text()).prop_map(|(kind, agent, expression)| CancelReason {
        kind,
        agent,
        expression,
    })
}

fn error() -> impl Strategy<Value = AgentError> {
    let kind = select(vec![ErrorKind::Timeout, ErrorKind::ForEach, ErrorKind::Unverified]);
    let scope = option::of(select(vec![Scope::Run, Scope::Agent, Scope::Model, Scope::Tool]));
    (kind, scope, any::<String>(), any::<bool>())
        .prop_map(|(kind, scope, message, used_up)| AgentError { kind, scope, message, used_up })
}

fn usage() -> impl Strategy<Value = Usage> {
    let cost = (option::of(0..100_000_u32), any::<u8>());
    (any::<[u32; 8]>(), cost).prop_map(|(counts, (cost, unpriced))| Usage {
        model_calls: counts[0].into(),
        input_tokens: counts[1].into(),
        output_tokens: counts[2].into(),
        cached_input_tokens: counts[3].into(),
        cache_write_tokens: counts[4].into(),
        reasoning_tokens: counts[5].into(),
        estimated_tokens: counts[6].into(),
        tool_calls: counts[7].into(),
        cost: Cost {
            known: cost.map(|cost| f64::from(cost) / 1000.0),
            unpriced_calls: unpriced.into(),
        },
    })
}

fn tool_call() -> impl Strategy<Value = ToolCallReport> {
    let ends = (option::of(any::<i32>()), option::of(any::<String>()), option::of(any::<u16>()));
    let texts = (any::<String>(), any::<String>(), value());
    (ends, texts, any::<[bool; 2]>(), option::of(select(&REASONS))).prop_map(
        |((exit_code, signal, http_status), (tool, output, arguments), flags, stopped_by)| {
            ToolCallReport {
                tool,
                arguments,
                status: ToolStatus::Rejected,
                exit_code,
                signal,
                http_status,
                started_ms: 3,
                duration_ms: u64::MAX,
                output,
                truncated: flags[0],
                leaked: flags[1],
                stopped_by,
            }
        },
    )
}

fn model_call() -> impl Strategy<Value = ModelCallReport> {
    let ends = (option::of(error()), option::of(any::<String>()));
    (ends, any::<String>(), any::<[u32; 3]>()).prop_map(|((error, finish_reason), model, n)| {
        ModelCallReport {
            status: ToolStatus::Failed,
            error,
            finish_reason,
            duration_ms: n[0].into(),
            usage: TokenUsage { input_tokens: n[1].into(), ..TokenUsage::default() },
            ..ModelCallReport::begun(model, n[2], 5)
        }
    })
}

fn step() -> impl Strategy<Value = StepReport> {
    (option::of(any::<i32>()), option::of(any::<String>()), any::<String>()).prop_map(
        |(exit_code, signal, stderr)| StepReport {
            exit_code,
            signal,
            http_status: None,
            stderr,
            leaked: true,
        },
    )
}

fn check() -> impl Strategy<Value = CheckReport> {
    (any::<String>(), option::of(select(&REASONS))).prop_map(|(output, stopped_by)| CheckReport {
        status: ToolStatus::TimedOut,
        exit_code: None,
        signal: Some("SIGTERM".into()),
        started_ms: 0,
        duration_ms: 1,
        output,
        truncated: true,
        leaked: false,
        stopped_by,
    })
}

fn message(time_ms: u64, text: &str) -> MessageReport {
    let call = RequestedCallReport { id: text.into(), name: text.into(), arguments: text.into() };
    MessageReport {
        tool_calls: vec![call],
        partial: text.len() > 1,
        files: vec![text.into()],
        model: Some(text.into()),
        ..MessageReport::new(time_ms, Role::Assistant, text.into())
    }
}

fn agent() -> impl Strategy<Value = AgentReport> {
    let ends = (select(&STATUSES), option::of(error()), option::of(reason()));
    let answers = (option::of(any::<String>()), option::of(value()), any::<bool>());
    let calls = (vec(tool_call(), 0..3), vec(model_call(), 0..3));
    let work = (calls, option::of(step()), vec(check(), 0..2), usage());
    let rest = (any::<String>(), option::of(any::<u64>()), vec(any::<String>(), 0..3));
    (ends, answers, work, rest).prop_map(|(ends, answers, work, rest)| AgentReport {
        status: ends.0,
        error: ends.1.clone(),
        fallbacks: ends
            .1
            .map(|error| FailedModel { model: "a/b".into(), error, output: answers.0.clone() })
            .into_iter()
            .collect(),
        reason: ends.2,
        output: answers.0,
        data: answers.1,
        partial: answers.2,
        tool_calls: work.0.0,
        model_calls: work.0.1,
        model_calls_omitted: rest.1.unwrap_or_default(),
        step: work.1,
        checks: work.2,
        usage: work.3,
        finish_reason: rest.1.map(|_| rest.0.clone()),
        started_ms: rest.1,
        queued_ms: rest.1.unwrap_or_default(),
        needs: rest.2.clone(),
        messages: rest.1.map(|time| rest.2.iter().map(|text| message(time, text)).collect()),
        notes: rest.2,
        ..AgentReport::new(String::new(), AgentKind::Step, rest.0)
    })
}

fn agent_with_instances() -> impl Strategy<Value = AgentReport> {
    let instances = vec((any::<String>(), value(), agent()), 0..3);
    (agent(), option::of(instances)).prop_map(|(agent, instances)| AgentReport {
        items: instances.map(|instances| {
            let named =
                |(key, item, agent)| AgentReport { key: Some(key), item: Some(item), ..agent };
            instances.into_iter().map(named).collect()
        }),
        ..agent
    })
}

fn report() -> impl Strategy<Value = Report> {
    let run = (any::<[String; 3]>(), option::of(reason()), option::of(value()));
    (run, vec(agent_with_instances(), 0..4), usage()).prop_map(
        |((texts, reason, saw), agents, usage)| {
            let agents = agents.into_iter().enumerate();
            Report {
                schema_version: SCHEMA_VERSION,
                run_id: texts[0].clone(),
                crew: texts[1].clone(),
                status: RunStatus::Cancelled,
                exit_code: 130,
                reason,
                started_at: "2026-11-26T00:00:00.000Z".into(),
                duration_ms: 7,
                input: texts[2].clone(),
                answer: saw.clone().filter(|value| !value.is_null()),
                answer_of: saw.as_ref().map(|_| "1".into()),
                fail_if: saw.map(|saw| FailIfReport {
                    expression: texts[0].clone(),
                    holds: None,
                    error: Some(texts[1].clone()),
                    saw: [("x".to_owned(), saw)].into(),
                }),
                usage,
                agents: agents
                    .map(|(at, agent)| AgentReport { name: at.to_string(), ..agent })
                    .collect(),
                cleanup: Cleanup {
                    survivors: vec![Survivor { pid: 4, command: texts[2].clone() }],
                    guardian_lost: true,
                    ..Cleanup::default()
                },
                rerun_of: Some(texts[1].clone()),
                invocation: Some(Invocation {
                    file: texts[0].clone().into(),
                    vars: [("x".to_owned(), texts[2].clone().into())].into_iter().collect(),
                    offline: true,
                    ..Invocation::default()
                }),
                fingerprint: Some([("prompt of a".to_owned(), texts[1].clone())].into()),
            }
        },
    )
}

proptest! {
    #[test]
    fn a_report_that_is_read_is_the_report_that_was_written(report in report()) {
        let written = serde_json::to_string(&report).unwrap();
        let read: Report = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(serde_json::to_string(&read).unwrap(), written);
    }
}

#[test]
fn a_report_of_version_0_1_is_read() {
    let agent = json!({
        "status": "timed_out", "output": "so far", "partial": true, "model": "openai/m",
        "error": {"kind": "timeout", "scope": "agent", "message": "no answer within 30s"},
        "finish_reason": null, "started_ms": 1, "duration_ms": 30_000, "turns": 1, "retries": 0,
        "usage": {"model_calls": 1, "input_tokens": 3, "output_tokens": 2, "tool_calls": 0},
        "tool_calls": [],
    });
    let report = json!({
        "schema_version": 1, "run_id": "0199", "crew": "old", "status": "failed", "exit_code": 1,
        "reason": null, "started_at": "2026-01-01T00:00:00.000Z", "duration_ms": 30_001,
        "input": "x", "usage": {"model_calls": 1}, "agents": {"disk": agent},
        "cleanup": {"model_calls_cancelled": 1, "survivors": [], "duration_ms": 0},
        "a_field_of_a_later_version": [1],
    });
    let read: Report = serde_json::from_value(report).unwrap();
    let [disk] = read.agents.as_slice() else { panic!("{read:?}") };
    assert_eq!((disk.name.as_str(), disk.kind), ("disk", AgentKind::Model));
    assert_eq!((disk.status, disk.usage.input_tokens), (AgentStatus::TimedOut, 3));
    assert!(disk.step.is_none() && disk.data.is_none() && read.answer.is_none());
}

#[test]
fn instances_get_their_names_back() {
    let text = r#"{"schema_version": 1, "status": "succeeded", "agents": {
        "review": {"items": [{"key": "a.rs", "item": null, "data": null}, {}]}}}"#;
    let read: Report = serde_json::from_str(text).unwrap();
    let items = read.agents[0].items.as_ref().unwrap();
    assert_eq!((items[0].name.as_str(), items[1].name.as_str()), ("review[a.rs]", "review[]"));
    assert_eq!((&items[0].item, &items[0].data), (&Some(Value::Null), &Some(Value::Null)));
    assert_eq!((&items[1].item, &items[1].data), (&None, &None));
}
