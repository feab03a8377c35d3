//! Attachments from the command line, and those that cannot be used.

use std::path::Path;

use crate::support::api::{Api, PNG};
use crate::support::crew::{Crew, Ended};
use crate::support::mock_model::ModelServer;
use indoc::formatdoc;

/// A crew of one agent with these keys, and files beside its file.
fn crew(api: Api, server: &ModelServer, keys: &str) -> Crew {
    let yaml = formatdoc! {"
        providers: {{mock: {{api: {}, base_url: '${{URL}}'}}}}
        agents:
          a: {{model: mock/m, retries: 0, {keys}}}
    ", api.name()};
    let crew = Crew::new(&yaml).env("URL", &api.base_url(server));
    for (name, content) in [("shot.png", PNG), ("blob", b"\xff\xfe\0\x01")] {
        std::fs::write(crew.path(name), content).unwrap();
    }
    crew
}

fn attach(crew: Crew, files: &[&str]) -> Ended {
    let folder = crew.path("");
    let paths = files.iter().map(|file| Path::new(&folder).join(file));
    let paths = paths.map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>();
    let arguments = paths.iter().flat_map(|path| ["--attach", path]).collect::<Vec<_>>();
    crew.args(&arguments).run()
}

#[test]
fn files_of_the_command_line_go_to_agents_that_use_the_input() {
    let api = Api::OpenAi;
    for (prompt, parts) in [("'{{ input }}'", 2), ("hello", 0)] {
        let server = ModelServer::always(api.text("fine"));
        let ended = attach(crew(api, &server, &format!("prompt: {prompt}")), &["shot.png"]);
        if parts == 0 {
            assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
            assert!(ended.stderr.contains("no agent that runs uses the input"));
            continue;
        }
        ended.report(0);
        let body = &server.requests()[0].body;
        assert_eq!(body["messages"][0]["content"].as_array().map(Vec::len), Some(parts), "{body}");
    }
}

#[test]
fn files_that_cannot_be_attached() {
    let api = Api::OpenAi;
    let server = ModelServer::always(api.text("fine"));
    for (file, why) in [
        ("missing.png", "No such file"),
        ("blob", "neither PNG, JPEG, WebP, GIF, PDF nor UTF-8 text"),
        (".", "not a regular file"),
    ] {
        let ended = attach(crew(api, &server, "prompt: '{{ input }}'"), &[file]);
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(why), "{why}: {}", ended.stderr);

        let report = crew(api, &server, &format!("attach: ['{file}']")).run().report(1);
        let error = &report["agents"]["a"]["error"];
        assert_eq!(error["kind"], "template", "{error}");
        assert!(error["message"].as_str().unwrap().contains(why), "{error}");
    }
    let large = crew(api, &server, "attach: [large]");
    let file = std::fs::File::create(large.path("large")).unwrap();
    file.set_len((20 << 20) + 1).unwrap();
    let report = large.run().report(1);
    let message = report["agents"]["a"]["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("larger than 20 MiB"), "{message}");
    assert!(server.requests().is_empty());
}

#[test]
fn a_model_that_takes_no_images_says_so() {
    for (api, word) in [
        (Api::OpenAi, "invalid_request_error"),
        (Api::Responses, "invalid_request_error"),
        (Api::Anthropic, "invalid_request_error"),
        (Api::Gemini, "INVALID_ARGUMENT"),
    ] {
        let words = "This model does not support image input.";
        let server = ModelServer::always(api.error(400, word, words));
        let report = crew(api, &server, "attach: [shot.png]").run().report(1);
        let error = &report["agents"]["a"]["error"];
        assert_eq!(error["kind"], "bad_request", "{api:?}: {error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{api:?}: {error}");
        assert_eq!(server.requests().len(), 1);
    }
}
