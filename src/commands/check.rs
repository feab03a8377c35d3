//! `crew check`: the faults and warnings of files, the plan of a single one, and with `--tools`
//! what the MCP servers offer.

use std::io::{self, Write};
use std::path::Path;

use tokio::runtime::Runtime;

use crate::cancel::Cancellation;
use crate::cli::CheckArgs;
use crate::config::faults::{Fault, Faults};
use crate::config::find;
use crate::exit::ExitStatus;
use crate::plan::{self, Checked, CrewPlan, Overrides};
use crate::process;
use crate::provider;
use crate::render::{self, CheckReport, CheckedFile, Format, Look, Screens};
use crate::tool::http::HttpClients;
use crate::tool::mcp::Offer;

use super::env_file;
use super::invalid::{failed, invalid};
use super::offers::offers;
use super::runtime::runtime;

pub fn check(args: &CheckArgs) -> ExitStatus {
    let screens = Screens::new(args.color.color);
    let format = args.output.into();
    if let Err(faults) = env_file::load(&args.file.env_files) {
        return invalid(&faults, screens, format);
    }
    let cancel = Cancellation::new();
    let runtime = match args.tools.then(|| start(&cancel)).transpose() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, screens, format),
    };
    let checker = Checker { args, format, screens, cancel: &cancel, runtime: runtime.as_ref() };
    let status = checker.check();
    if let Some(runtime) = runtime {
        // Do not wait for a name lookup, which cannot be cancelled.
        runtime.shutdown_background();
    }
    status
}

fn start(cancel: &Cancellation) -> anyhow::Result<Runtime> {
    process::forbid_inspection();
    runtime(cancel)
}

struct Checker<'a> {
    args: &'a CheckArgs,
    format: Format,
    screens: Screens,
    cancel: &'a Cancellation,
    /// For the MCP servers, if they are to be started.
    runtime: Option<&'a Runtime>,
}

impl Checker<'_> {
    fn check(&self) -> ExitStatus {
        let named = self.args.file.config.iter().chain(&self.args.files);
        let mut named: Vec<_> = named.map(|file| Some(file.as_path())).collect();
        if named.is_empty() {
            named.push(None);
        }
        let (mut has_faults, mut lacks_tools) = (false, false);
        let mut files = Vec::new();
        for file in &named {
            let (file, Checked { plan, faults }) = self.checked(*file);
            let offers = plan.as_ref().map(|plan| self.offers(plan)).unwrap_or_default();
            let signal = self.cancel.signal();
            if let Some(signal) = signal {
                return ExitStatus::Signalled(signal);
            }
            has_faults |= plan.is_none();
            lacks_tools |= offers.iter().any(|offer| !offer.faults.is_empty());
            if self.format == Format::Text {
                let shown = plan.as_ref().filter(|_| named.len() == 1);
                self.print(file.as_deref().filter(|_| plan.is_some()), shown, &faults, &offers);
            } else {
                let secrets = plan.as_ref().map(CrewPlan::secrets).unwrap_or_default();
                files.push(CheckedFile::new(file, faults, offers, &secrets));
            }
        }
        let status = match (has_faults, lacks_tools) {
            (true, _) => ExitStatus::Invalid,
            (false, true) => ExitStatus::Failure,
            (false, false) => ExitStatus::Success,
        };
        if self.format == Format::Json {
            let _ = render::json(&CheckReport::new(status, files), &mut io::stdout().lock());
        }
        status
    }

    /// The file, and a plan that a run could start with: its proxies and certificates can be used,
    /// too.
    fn checked(&self, named: Option<&Path>) -> (Option<String>, Checked) {
        let env = |name: &str| std::env::var(name).ok();
        let file = match find::find(named, &env) {
            Ok(file) => file,
            Err(faults) => return (None, Checked { plan: None, faults }),
        };
        let overrides = Overrides { offline: self.args.offline, ..Overrides::default() };
        let checked = plan::check(&file, &overrides, &env);
        let mut checked = checked.unwrap_or_else(|faults| Checked { plan: None, faults });
        let file = file.to_string_lossy().into_owned();
        let Checked { plan, faults } = &mut checked;
        if let Some(plan) = plan {
            let unplaced = |message| Fault::unplaced(Some(file.clone()), message, None);
            faults.warnings.extend(plan.warnings().into_iter().map(unplaced));
            let connected =
                provider::client(&plan.providers).and_then(|_| HttpClients::connect(plan, None));
            faults.faults.extend(connected.err().map(|error| unplaced(error.to_string())));
        }
        if self.args.strict {
            faults.faults.append(&mut faults.warnings);
        }
        if !faults.faults.is_empty() {
            *plan = None;
        }
        (Some(file), checked)
    }

    fn offers(&self, plan: &CrewPlan) -> Vec<Offer> {
        let ask = |runtime: &Runtime| runtime.block_on(offers(plan, self.cancel));
        self.runtime.map(ask).unwrap_or_default()
    }

    /// Prints what is known of one file; `valid` is its name if it has no faults. The result does
    /// not depend on whether it can be printed.
    fn print(
        &self,
        valid: Option<&str>,
        plan: Option<&CrewPlan>,
        faults: &Faults,
        offers: &[Offer],
    ) {
        let look = self.screens.stdout.look(false);
        let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
        let quiet = self.args.quiet;
        if let Some(plan) = plan.filter(|_| !quiet) {
            let _ = render::plan(plan, look, &mut out);
        }
        let offers = offers.iter().filter(|offer| !quiet || !offer.faults.is_empty());
        let offers: Vec<_> = offers.cloned().collect();
        let _ = render::offers(&offers, look, &mut out);
        let _ = out.flush();
        let err_look: Look = self.screens.stderr.look(false);
        if !faults.faults.is_empty() {
            let _ = render::faults(faults, err_look, &mut err);
        }
        if quiet {
            return;
        }
        let _ = render::warnings(faults, err_look, &mut err);
        if let Some(file) = valid.filter(|_| offers.iter().all(|offer| offer.faults.is_empty())) {
            let _ = render::valid(file, faults.warnings.len(), &mut out);
        }
    }
}
