//! What crew says about itself: schemas, completions and manual pages.

use std::io::{self, Write};

use clap::CommandFactory;

use super::invalid::invalid;
use crate::cli::{Cli, CompletionsArgs, ManArgs, SchemaArgs, SchemaName};
use crate::config::faults::Faults;
use crate::config::schema;
use crate::exit::ExitStatus;
use crate::render::{self, Format, Screens};

/// `crew schema`.
pub fn schema(args: &SchemaArgs) -> ExitStatus {
    let schema = match args.name {
        SchemaName::Crew => schema::schema(),
        SchemaName::Report => render::report_schema(),
        SchemaName::Batch => render::batch_schema(),
    };
    ExitStatus::of_print(render::json(&schema, &mut io::stdout().lock()))
}

/// `crew completions`.
pub fn completions(args: &CompletionsArgs) -> ExitStatus {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "crew", &mut script);
    ExitStatus::of_print(io::stdout().lock().write_all(&script))
}

/// `crew man`: the page of crew or of one of its commands.
pub fn man(args: &ManArgs) -> ExitStatus {
    let mut crew = Cli::command();
    crew.build();
    let command = match &args.command {
        None => Some(&crew),
        Some(name) => crew.find_subcommand(name),
    };
    let Some(command) = command else {
        let name = args.command.as_deref().unwrap_or_default();
        let message = format!("there is no command {name:?}");
        let hint = Some("crew --help lists the commands".to_owned());
        let faults = Faults::unplaced(None, message, hint);
        return invalid(&faults, Screens::new(clap::ColorChoice::Auto), Format::Text);
    };
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command.clone()).render(&mut page);
    ExitStatus::of_print(rendered.and_then(|()| io::stdout().lock().write_all(&page)))
}
