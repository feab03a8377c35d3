//! Tests of crew through its command line, and of a few parts through the library.
#![allow(clippy::unwrap_used)]

mod support;

mod answer;
mod agents {
    mod budget;
    mod engine;
    mod panic;
}
mod batch {
    mod estimate;
    mod inputs;
    mod merge;
    mod partition;
    mod recording;
    mod results;
    mod resume;
    mod slurm;
    mod status;
    mod stop;
}
mod check;
mod crewtest;
mod display;
mod files {
    mod common;
    mod includes;
    mod reading;
    mod slips;
    mod values;
}
mod flow {
    mod checks;
    mod conditions;
    mod examples;
    mod faults;
    mod instances;
    mod steps;
}
mod history;
mod hostile_reports;
mod input;
mod jsonl;
mod mcp {
    mod exit;
    mod faults;
    mod file;
    mod http;
    mod tools;
}
mod models {
    mod attachments;
    mod attempt;
    mod calls;
    mod certificates;
    mod counts;
    mod demands;
    mod endpoints;
    mod ends;
    mod fallback;
    mod keys;
    mod prices;
    mod protocols {
        mod anthropic;
        mod failures;
        mod gemini;
        mod openai;
        mod responses;
        mod walk;
        mod wire;
        mod work;
    }
    mod provider;
    mod proxies;
    mod rate;
    mod refusals;
    mod repeats;
    mod settings;
    mod wire;
}
mod output;
mod recording;
mod render;
mod reports;
mod rerun;
mod secrets;
mod selection;
mod setup;
mod structured {
    mod answers;
    mod schema;
}
mod summary;
mod tools {
    mod confirm {
        mod common;
        mod questions;
        mod replies;
        mod terminal;
    }
    mod http_answers;
    mod http_requests;
    mod sandbox;
    mod shell;
}
mod trace;
mod tracing;
