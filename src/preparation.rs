//! Everything that is checked before an engine is touched: definitions, probes, settings, grants, and the
//! harness's command. All problems are found, not only the first.

pub mod choice;
pub mod downloads;
pub mod permitted;
pub mod policy;
pub mod settings;

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use crate::definition::model::{Lifecycle, Mount, Readiness};
use crate::definition::{self, Definition, Disablement, FoundProgram, Layer, LayerReport, budget};
use crate::engine::Capabilities;
use crate::engine::image_file::FileImage;
use crate::engine::kinds::{EngineKind, Engines};
use crate::harness::argv::{self, DockerRun, Harness, Verb};
use crate::harness::gateway::{Hosted, unreached};
use crate::harness::network_mode::NetworkMode;
use crate::harness::reachability::session_refusal;
use crate::harness::{names, run};
use crate::plan::sidecar::{ImageReference, Sidecar};
use crate::preparation::permitted::{Parts, Permitted};
use crate::preparation::policy::PolicyReport;
use crate::preparation::settings::Settings;
use crate::probe::capabilities::needs;
use crate::probe::catalogue::{self, FoundProbe};
use crate::probe::folders::ProbeFolders;
use crate::probe::host::{LoadError, ProbeHost};
use crate::report::error::{Code, Failure, Problem};
use crate::report::exit;
use crate::system::process_limits;

/// A sidecar with its probes, in the order of its readiness conditions.
#[derive(Debug)]
pub struct ResolvedSidecar {
    /// The sidecar.
    pub sidecar: Sidecar,
    /// The program of this host that it runs; `None` if it runs an image.
    pub program: Option<FoundProgram>,
    /// The id of the image in the file that it names; `None` if it names none.
    pub image_id: Option<String>,
    /// One for each readiness condition.
    pub probes: Vec<FoundProbe>,
    /// Whether it may be started.
    pub approval: Approval,
}

/// Whether a sidecar may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// Its layer is trusted.
    Trusted,
    /// Nobody approved it as it is.
    Missing,
    /// Somebody did.
    Given,
}

impl Approval {
    /// What holds of a layer before anybody is asked.
    #[must_use]
    pub const fn of(layer: Layer) -> Self {
        if layer.is_trusted() { Self::Trusted } else { Self::Missing }
    }
}

/// A disabled sidecar of a trusted layer.
#[derive(Clone, Debug)]
pub struct Disabled {
    /// What the workspace says.
    pub disablement: Disablement,
    /// Whether it is approved.
    pub approval: Approval,
}

/// What was found, whether or not it may be launched.
#[derive(Debug, Default)]
pub struct Preparation {
    /// The layers that were read.
    pub layers: Vec<LayerReport>,
    /// Sidecars whose probes were found, in the order of names.
    pub sidecars: Vec<ResolvedSidecar>,
    /// The trusted sidecars that the workspace disables.
    pub disabled: Vec<Disabled>,
    /// How many definitions are in force, those that a policy refuses included.
    pub definitions: usize,
    /// Errors and warnings.
    pub problems: Vec<Problem>,
    /// On which engine each sidecar lives.
    pub engines: Engines,
    /// The policies that bound the definitions.
    pub policies: Vec<PolicyReport>,
}

/// Reads and checks all definitions and their probes.
#[must_use]
pub fn prepare(settings: &Settings) -> Preparation {
    resolve(settings, load(settings))
}

/// Reads all definitions, and keeps those that take part and that every policy permits.
#[must_use]
pub fn load(settings: &Settings) -> Permitted {
    let mut loaded = definition::load(&settings.directories);
    if let Err(problems) = settings.choice.keep(&mut loaded.definitions) {
        loaded.problems.extend(problems);
    }
    // Those of different profiles need not start together.
    if !settings.choice.all {
        loaded.problems.extend(definition::taken_variables(&loaded.definitions, &settings.env_prefix));
    }
    Permitted::of(settings, loaded)
}

/// Checks the definitions that were read, and their probes.
#[must_use]
pub fn resolve(settings: &Settings, permitted: Permitted) -> Preparation {
    let folders = ProbeFolders::of(&settings.directories);
    let Parts { layers, definitions, disabled, problems, declared, policies } = permitted.into_parts();
    let disabled = disabled.into_iter();
    let mut preparation = Preparation {
        layers,
        disabled: disabled.map(|disablement| Disabled { disablement, approval: Approval::Missing }).collect(),
        definitions: declared,
        problems,
        engines: settings.engine.clone(),
        policies,
        ..Preparation::default()
    };
    let refusals = definition::refusals(&definitions).into_iter();
    preparation.problems.extend(refusals.map(definition::in_the_files_language));
    for definition in definitions {
        let program = definition.find_program(&settings.directories.budget).transpose();
        let program = program.map_err(|problem| vec![definition::in_the_files_language(problem)]);
        let image = FileImage::find(&definition).transpose().map(|found| found.map(|image| image.id));
        let image = image.map_err(|problem| vec![definition::in_the_files_language(problem)]);
        match (program, image, find_probes(&definition, &folders)) {
            (Ok(program), Ok(image_id), Ok(probes)) => {
                let approval = Approval::of(definition.layer);
                if settings.directories.workspace_root.is_none() {
                    preparation.problems.extend(no_workspace(&definition));
                }
                let mut sidecar = Sidecar::new(definition, &settings.scopes);
                if sidecar.definition.lifecycle == Lifecycle::Session {
                    sidecar.workspace.clone_from(&settings.directories.workspace_root);
                }
                if let Some(digest) = program.as_ref().and_then(|program| program.digest.clone()) {
                    sidecar.image = ImageReference::ApprovedProgram(digest);
                }
                if let Some(id) = image_id.clone().filter(|_| approval != Approval::Trusted) {
                    sidecar.image = ImageReference::Approved(id);
                }
                sidecar.is_executed_in = probes.iter().any(FoundProbe::executes);
                preparation.sidecars.push(ResolvedSidecar { sidecar, program, image_id, probes, approval });
            }
            (program, image, probes) => {
                let problems = program.err().into_iter().chain(image.err()).chain(probes.err());
                preparation.problems.extend(problems.flatten());
            }
        }
    }
    preparation.refuse_beyond(|definition| settings.engine.of(definition).capabilities());
    downloads::drop_explained(&mut preparation.problems);
    budget::tell_once(&mut preparation.problems);
    preparation
}

impl Preparation {
    /// The folder of the workspace whose sidecars take part; none where none do.
    #[must_use]
    pub fn workspace<'a>(&self, settings: &'a Settings) -> Option<&'a Path> {
        let layers = self.sidecars.iter().map(|prepared| prepared.sidecar.definition.layer);
        if layers.into_iter().all(Layer::is_trusted) { None } else { settings.scopes.workspace.as_deref() }
    }

    /// Reads the harness's command, and says everything that is wrong with it.
    ///
    /// # Errors
    /// If it cannot be used in this form, cannot be run, or could not reach the sidecars.
    pub fn harness(&self, command: &[OsString]) -> Result<Harness, Failure> {
        let harness = argv::parse(command).map_err(Failure::from)?;
        if let Harness::Docker(run) = &harness {
            let definitions = self.taking_part();
            let refusals = run.network().refusal().into_iter().chain(names::link_refusal(run));
            let mut problems: Vec<Problem> = refusals.chain(names::collisions(run, definitions)).collect();
            problems.extend(self.out_of_reach(run));
            problems.extend(self.without_common_network(run));
            let mut of_sessions = self
                .sidecars
                .iter()
                .filter(|prepared| prepared.sidecar.definition.lifecycle == Lifecycle::Session);
            problems
                .extend(of_sessions.next().and_then(|first| session_refusal(&harness, first.sidecar.name())));
            if !problems.is_empty() {
                return Err(Failure { exit: exit::REFUSED, problems });
            }
        }
        if let Some(program) = command.first() {
            run::check(program)?;
        }
        Ok(harness)
    }

    /// The definitions of the sidecars, in the order of names.
    pub fn taking_part(&self) -> impl Iterator<Item = &Definition> {
        self.sidecars.iter().map(|prepared| &prepared.sidecar.definition)
    }

    /// Whether a sidecar has no network of an engine's: the harness reaches it at an address of this host.
    #[must_use]
    pub fn is_on_this_host(&self, definition: &Definition) -> bool {
        self.engines.of(definition).network().is_some()
    }

    /// The sidecars with ports that this host runs itself.
    #[must_use]
    pub fn hosted(&self) -> Vec<Hosted> {
        let hosted = self
            .taking_part()
            .filter(|definition| self.is_on_this_host(definition) && definition.port().is_some());
        let of = |definition: &Definition| Hosted {
            name: definition.name.clone(),
            aliases: definition.aliases(),
            ports: definition.ports(),
        };
        hosted.map(of).collect()
    }

    /// Refuses sidecars of several engines with networks for a harness in a container: it joins one network, and containers of
    /// one engine and tasks of another share none.
    fn without_common_network(&self, run: &DockerRun) -> Vec<Problem> {
        if matches!(run.network(), NetworkMode::Host) {
            return Vec::new();
        }
        let on_networks: Vec<(&Definition, EngineKind)> = self
            .taking_part()
            .map(|definition| (definition, self.engines.of(definition)))
            .filter(|(_, kind)| kind.network().is_none())
            .collect();
        let Some((first, of_first)) = on_networks.iter().min_by_key(|(_, kind)| *kind) else {
            return Vec::new();
        };
        let others = on_networks.iter().filter(|(_, kind)| kind != of_first);
        let refused = others.map(|(definition, kind)| {
            let (name, first) = (&definition.name, &first.name);
            let message = format!(
                "the harness runs in a container, and joins one network, but `{name}` (engine `{}`) shares none with `{first}` \
                 (engine `{}`)",
                kind.name(),
                of_first.name()
            );
            Problem::error(Code::HarnessNoRoute, message)
                .of(name.clone())
                .at(definition.place("engine"))
                .hint("Run the harness on this host, which reaches both.")
                .hint(format!("Or write the same `engine` in the definitions of `{name}` and `{first}`."))
        });
        refused.collect()
    }

    /// Refuses what this host runs itself for a harness in a container that farrier does not outlive: what it listens to for
    /// the harness would be closed.
    fn out_of_reach(&self, run: &DockerRun) -> Vec<Problem> {
        let reason = match run.verb() {
            _ if matches!(run.network(), NetworkMode::Host) => return Vec::new(),
            Verb::Create => "farrier forwards connections only to a harness that it runs itself",
            Verb::Run if run.is_detached() => {
                "farrier forwards connections only to a harness in the foreground"
            }
            Verb::Run => return Vec::new(),
        };
        let hosted = self
            .taking_part()
            .filter(|definition| self.is_on_this_host(definition) && definition.port().is_some());
        let refused = hosted.map(|definition| {
            let name = &definition.name;
            let (field, way_out) = if definition.container.program.is_some() {
                ("program", "Or name an `image` in place of the `program`.")
            } else if definition.image_file().is_some() {
                ("image", "Or load the image into the harness's engine, and name it by its reference.")
            } else {
                ("image", "Or use `--engine auto`, so that the harness's engine runs the image.")
            };
            unreached(name, reason).at(definition.place(field)).hint(way_out)
        });
        refused.collect()
    }

    /// Refuses, by name, what needs more than the engine of its sidecar can do.
    pub fn refuse_beyond(&mut self, capabilities: impl Fn(&Definition) -> Capabilities) {
        for prepared in &self.sidecars {
            let needed = prepared.probes.iter().map(|found| (found.name.clone(), needs(&found.interfaces)));
            let definition = &prepared.sidecar.definition;
            let refusals = capabilities(definition).refusals(definition, &needed.collect::<Vec<_>>());
            let is_decided = definition.needs_this_host() || definition.container.engine.is_some();
            let reason = if is_decided || refusals.is_empty() { None } else { self.engines.reason() };
            let explained = refusals.into_iter().map(|problem| match reason {
                Some(reason) => problem.hint(format!("{reason}, which would otherwise run the image.")),
                None => problem,
            });
            self.problems.extend(explained.map(definition::in_the_files_language));
        }
    }

    /// Lets a launch go on only where nothing is wrong.
    ///
    /// # Errors
    /// All problems, when one of them is an error.
    pub fn accept(&self, additional: Vec<Problem>) -> Result<(), Failure> {
        let problems: Vec<Problem> = self.problems.iter().cloned().chain(additional).collect();
        if problems.iter().any(Problem::is_error) { Err(Failure::of(problems)) } else { Ok(()) }
    }
}

/// A problem if a definition mounts the workspace, and none is known.
fn no_workspace(definition: &Definition) -> Option<Problem> {
    let mounts = &definition.container.mounts;
    let is_mounted = mounts.iter().any(|mount| matches!(mount, Mount::Workspace { .. }));
    is_mounted.then(|| {
        let message = format!("`{}` mounts the workspace, and there is none", definition.name);
        Problem::error(Code::UnsupportedMount, message)
            .of(definition.name.clone())
            .at(definition.place("mounts"))
            .hint("Name the workspace with `--workspace DIR`, or run farrier in a checkout.")
    })
}

fn find_probes(definition: &Definition, folders: &ProbeFolders) -> Result<Vec<FoundProbe>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut probes = Vec::new();
    for readiness in &definition.readiness {
        match catalogue::find(definition, readiness, folders) {
            Ok(found) => probes.push(found),
            Err(found) => problems.extend(found.into_iter().map(definition::in_the_files_language)),
        }
    }
    if problems.is_empty() { Ok(probes) } else { Err(problems) }
}

/// Which components check their settings: those of the workspace run only once they are approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidationPhase {
    /// Those that need no approval.
    Trusted,
    /// Those that got one.
    Approved,
}

impl ResolvedSidecar {
    /// Whether a component of it checks its settings in this turn.
    fn takes_turn(&self, readiness: &Readiness, found: &FoundProbe, turn: ValidationPhase) -> bool {
        let needs_none = found.built_in || self.approval == Approval::Trusted;
        found.checks_settings(readiness)
            && match turn {
                ValidationPhase::Trusted => needs_none,
                ValidationPhase::Approved => !needs_none && self.approval == Approval::Given,
            }
    }
}

/// Whether any component checks its settings in these turns.
pub fn validates_settings(sidecars: &[ResolvedSidecar], turns: &[ValidationPhase]) -> bool {
    sidecars.iter().any(|prepared| {
        let mut probes = prepared.sidecar.definition.readiness.iter().zip(&prepared.probes);
        probes.any(|(readiness, found)| turns.iter().any(|turn| prepared.takes_turn(readiness, found, *turn)))
    })
}

/// Lets the components that check their settings do so.
pub async fn validate_settings(
    host: &Arc<ProbeHost>,
    sidecars: &[ResolvedSidecar],
    turn: ValidationPhase,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for prepared in sidecars {
        let definition = &prepared.sidecar.definition;
        for (readiness, found) in definition.readiness.iter().zip(&prepared.probes) {
            if !prepared.takes_turn(readiness, found, turn) {
                continue;
            }
            let field = format!("{}.settings", readiness.field);
            let settings = serde_json::Value::Object(readiness.settings.clone()).to_string();
            let answer = match host.load_in_time(&found.component, &found.interfaces).await {
                Ok(probe) => probe.validate(&settings, readiness.limits).await,
                Err(LoadError::Limit(reason)) => {
                    // The next component would say the same.
                    problems.push(process_limits::reached(&reason));
                    return problems;
                }
                Err(error) => Err(format!("it cannot be loaded: {error}")),
            };
            let problem = |code, message| Problem::error(code, message).of(definition.name.clone());
            match answer {
                Ok(found_wrong) => problems.extend(found_wrong.into_iter().map(|wrong| {
                    let path =
                        if wrong.path.is_empty() { field.clone() } else { format!("{field}.{}", wrong.path) };
                    problem(Code::ProbeSettings, format!("{path}: {}", wrong.message))
                        .at(definition.place(&path))
                        .hint(format!("Correct the settings of the probe `{}`.", found.name))
                })),
                Err(crash) => problems.push(
                    problem(
                        Code::ProbeCrashed,
                        format!("the probe `{}` cannot check its settings: {crash}", found.name),
                    )
                    .at(definition.place(&format!("{}.probe", readiness.field)))
                    .hint("Report the crash to the probe's author; nothing was started."),
                ),
            }
        }
    }
    problems
}
