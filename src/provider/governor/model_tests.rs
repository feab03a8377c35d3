//! What a rejection of one model means for the others, in paused time.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures::future::join;
use tokio::time::{Instant, sleep};

use super::admission::Wanted;
use super::tests::{HOUR, admit, error, governor};
use crate::plan::RateLimits;
use crate::provider::error::Effect;

#[tokio::test(start_paused = true)]
async fn a_model_that_has_to_wait_holds_up_no_other() {
    let governor = governor(RateLimits { max_concurrency: Some(4), ..RateLimits::default() });
    let begun = Instant::now();
    let ask = |model| admit(&governor, model, 0, begun + HOUR);
    let wait = Duration::from_secs(30);
    ask("busy").await.unwrap().end(Some(&error(Effect::PauseModel, Some(wait))), None);
    let busy = async { ask("busy").await.map(|_| begun.elapsed()) };
    let calm = async {
        for _ in 0..10 {
            ask("calm").await.unwrap().end(None, None);
        }
        begun.elapsed()
    };
    let (busy, calm) = join(busy, calm).await;
    assert_eq!((busy.unwrap(), calm), (wait, Duration::ZERO));
    assert_eq!((governor.answered("busy"), governor.answered("calm")), (0, 10));
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_pauses_when_a_second_model_is_rejected_while_the_first_one_waits() {
    let seconds = Duration::from_secs;
    for (between, waits) in [(seconds(0), true), (seconds(29), true), (seconds(31), false)] {
        let governor = governor(RateLimits::default());
        let ask = |model| admit(&governor, model, 0, Instant::now() + HOUR);
        let rejection = error(Effect::PauseModel, Some(seconds(30)));
        ask("a").await.unwrap().end(Some(&rejection), None);
        sleep(between).await;
        ask("b").await.unwrap().end(Some(&rejection), None);
        let asked = Instant::now();
        ask("c").await.unwrap();
        assert_eq!(asked.elapsed() == seconds(30), waits, "{between:?}");
    }
    let governor = governor(RateLimits::default());
    let rejection = error(Effect::PauseEndpoint, Some(seconds(30)));
    let ask = |model| admit(&governor, model, 0, Instant::now() + HOUR);
    ask("a").await.unwrap().end(Some(&rejection), None);
    assert_eq!(governor.pause("b"), seconds(30));
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_stops_when_a_second_model_is_denied() {
    let governor = governor(RateLimits::default());
    let call = |model, is_fallback| {
        let wanted = Wanted { model, tokens: 0, is_fallback };
        governor.admit(wanted, Instant::now() + HOUR)
    };
    let denied = error(Effect::DenyModel, None);
    // A model that the server does not have says nothing about others.
    call("gone", false).await.unwrap().end(Some(&error(Effect::StopModel, None)), None);
    call("a", false).await.unwrap().end(Some(&denied), None);
    assert!(call("a", true).await.is_err());
    call("b", false).await.unwrap().end(Some(&denied), None);
    assert!(call("c", false).await.is_err());
    // The next model of an agent's list is asked all the same, until it is denied as well.
    call("c", true).await.unwrap().end(Some(&denied), None);
    assert!(call("c", true).await.is_err());
}
