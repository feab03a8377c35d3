//! The floor: a bare reqwest client with the settings that crew uses for the same server.

use std::io::{self, Write};

use futures::future::try_join_all;
use futures::stream::{StreamExt, TryStreamExt, iter};
use reqwest::Client;

use crate::launch;
use crate::repeat::EARLY;

pub const ROLE: &str = "bare";
pub const WINDOW_ROLE: &str = "bare-window";

/// The request that crew sends for an agent of the benchmark.
const BODY: &str = r#"{"model":"m","messages":[{"role":"system","content":"Role: Clerk\n\nGoal: Find out why the machine is slow"},{"role":"user","content":"my laptop is slow"}],"stream":true,"stream_options":{"include_usage":true}}"#;

/// Makes `parallel` calls at once, `rounds` times, and prints the memory in use early on and at the
/// end.
pub fn run(base_url: &str, parallel: usize, rounds: u32) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = client()?;
    let url = reqwest::Url::parse(&format!("{base_url}/chat/completions"))?;
    let mut early = 0;
    runtime.block_on(async {
        for round in 0..rounds {
            let calls = (0..parallel).map(|_| call(&client, &url));
            let answers = try_join_all(calls).await?;
            anyhow::ensure!(answers.iter().all(|answer| answer.ends_with(b"[DONE]\n\n")));
            if round == EARLY {
                early = launch::memory(std::process::id())?;
            }
        }
        anyhow::Ok(())
    })?;
    Ok(writeln!(io::stdout(), "{early} {}", launch::memory(std::process::id())?)?)
}

/// Makes `calls` calls, `parallel` of them at any time.
pub fn run_window(base_url: &str, parallel: usize, calls: u32) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = client()?;
    let url = reqwest::Url::parse(&format!("{base_url}/chat/completions"))?;
    runtime.block_on(async {
        let calls = (0..calls).map(|_| call(&client, &url));
        iter(calls).buffer_unordered(parallel).try_for_each(|_| async { Ok(()) }).await
    })
}

fn client() -> reqwest::Result<Client> {
    // Fails only if it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent("bare/1")
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(std::time::Duration::from_secs(10))
        .no_proxy()
        .tls_certs_only([])
        .build()
}

async fn call(client: &Client, url: &reqwest::Url) -> anyhow::Result<Vec<u8>> {
    let mut response = client
        .post(url.clone())
        .header("content-type", "application/json")
        .header("accept", "text/event-stream, application/json")
        .body(BODY)
        .send()
        .await?
        .error_for_status()?;
    let mut answer = Vec::new();
    while let Some(piece) = response.chunk().await? {
        answer.extend_from_slice(&piece);
    }
    Ok(answer)
}
