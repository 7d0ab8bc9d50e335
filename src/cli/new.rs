//! `new`: a commented definition to begin with.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};

use super::data::{indented, print};
use super::schema::of_definitions;
use crate::cli::options::{LaunchOptions, New, NewLayer};
use crate::cli::runtime::CommandRuntime;
use crate::cli::settings::layer_directories;
use crate::definition::draft::{Draft, ImageFacts, SCHEMA_FILE, check_name};
use crate::definition::working_trees::{Inside, WorkingTrees};
use crate::definition::{LayerDirectories, check_image, is_escape, load, outside_workspace};
use crate::engine::kinds::Choice;
use crate::launch::connection;
use crate::preparation::settings::Settings;
use crate::report::error::{Code, Failure, Problem};
use crate::report::escape::escape;
use crate::report::exit;

/// Others may read a definition, and only its owner write it.
const MODE: u32 = 0o644;
/// How long an engine is waited for that could tell about the image.
const ENGINE_ANSWERS: Duration = Duration::from_secs(2);

/// Writes the file; an existing one is never touched.
pub fn new(options: &New) -> Result<u8, Failure> {
    let name = &options.name;
    let invalid = |message: String| Problem::error(Code::InvalidValue, message);
    check_name(name).map_err(|reason| {
        invalid(format!("`{}` cannot be a sidecar's name: {reason}", escape(name)))
            .hint("Use letters, digits and `-`, with a letter or digit at both ends.")
    })?;
    check_image(&options.image).map_err(|reason| {
        invalid(format!("`{}` is not an image reference: {reason}", escape(&options.image)))
            .hint("Write it as for `docker run`: `postgres:16`.")
    })?;
    let mut draft = Draft::of(&options.image, name, facts(options)?);
    if let Some(port) = options.port {
        draft = draft.at(port);
    }
    if let Some(probe) = &options.probe {
        draft.probe.clone_from(probe);
    }
    let directories = layer_directories(&options.layers);
    let (layer, folder) = folder(options.layer, &directories)?;
    let before = errors(&directories);
    let target = Target::open(&folder, &directories.working_trees)?;
    let file = target.write(name, &draft.to_toml())?;
    target.refuse_wrong(&file, errors(&directories), &before)?;
    target.write_schema()?;
    let path = folder.join(file);
    let mut text = format!("{} declares `{name}`. Next:\n", escape(&path.display().to_string()));
    if !draft.says_something() {
        text.push_str("  fill in the port and the probe: farrier does not know this image\n");
    }
    text.push_str("  edit it, then check it with `farrier validate`\n");
    if layer == NewLayer::Workspace {
        text.push_str(&format!(
            "  farrier approve {name}    because workspace definitions are not trusted\n"
        ));
    }
    text.push_str("  farrier up\n");
    print(&text);
    Ok(exit::SUCCESS)
}

/// The image's own facts, if an engine has the image and answers soon. Otherwise the facts are empty, which is not an
/// error.
///
/// # Errors
/// When a signal ends the wait.
fn facts(options: &New) -> Result<ImageFacts, Failure> {
    let settings = Settings::new(&options.layers, &LaunchOptions::default());
    let found = CommandRuntime::start()?.run_alone(async {
        let asked = async {
            let connection =
                connection::open(settings.engine.of_images(), &Choice::default(), &settings).ok()?;
            connection.engine.images()?.present(&options.image).await.ok()?
        };
        Ok(tokio::time::timeout(ENGINE_ANSWERS, asked).await.ok().flatten())
    })?;
    let Some(image) = found else { return Ok(ImageFacts::default()) };
    Ok(ImageFacts { ports: image.ports, has_health_test: image.has_health_test })
}

/// The layer and its folder.
pub(super) fn folder(
    wanted: Option<NewLayer>,
    directories: &LayerDirectories,
) -> Result<(NewLayer, PathBuf), Problem> {
    let layer =
        wanted.unwrap_or(if directories.workspace.is_some() { NewLayer::Workspace } else { NewLayer::User });
    let (folder, hint) = match layer {
        NewLayer::User => (&directories.user, "Set HOME, or name a folder with `--user-dir`."),
        NewLayer::Org => (&directories.org, "Name its folder with `--org-dir`."),
        NewLayer::Repo => (&directories.repo, "Name its folder with `--repo-dir`."),
        NewLayer::Workspace => {
            (&directories.workspace, "Change to a checkout, or name a folder with `--workspace-dir`.")
        }
    };
    let none = || Problem::error(Code::LayerUnusable, "that layer has no folder here").hint(hint);
    folder.clone().map(|folder| (layer, folder)).ok_or_else(none)
}

/// The errors in the definitions of all layers.
fn errors(directories: &LayerDirectories) -> Vec<Problem> {
    load(directories).problems.into_iter().filter(Problem::is_error).collect()
}

/// The folder that is written to. One in a checkout is reached beneath the checkout's root: no symlink of the checkout
/// leads to where definitions are trusted.
pub(super) struct Target {
    path: PathBuf,
    folder: Dir,
}

impl Target {
    pub(super) fn open(path: &Path, trees: &WorkingTrees) -> Result<Self, Problem> {
        let opened = match trees.as_written(path) {
            Some(Inside { root, relative }) => {
                Dir::open_ambient_dir(root, ambient_authority()).and_then(|root| {
                    match root.open_dir(&relative) {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {
                            root.create_dir_all(&relative)?;
                            root.open_dir(&relative)
                        }
                        opened => opened,
                    }
                })
            }
            None => {
                std::fs::create_dir_all(path).and_then(|()| Dir::open_ambient_dir(path, ambient_authority()))
            }
        };
        match opened {
            Ok(folder) => Ok(Self { path: path.to_owned(), folder }),
            Err(error) if is_escape(&error) => Err(outside_workspace(path)),
            Err(error) => Err(failed(path, &error)),
        }
    }

    /// Writes the definition, and gives its file's name.
    fn write(&self, name: &str, text: &str) -> Result<String, Problem> {
        self.refuse_existing(name)?;
        let file = format!("{name}.toml");
        self.create(&file, text).map_err(|error| failed(&self.path.join(&file), &error))?;
        Ok(file)
    }

    /// Writes the definition, also in the place of one that is there.
    pub(super) fn replace(&self, name: &str, text: &str) -> Result<(), Problem> {
        let file = format!("{name}.toml");
        match self.folder.remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&self.path.join(&file), &error));
            }
            _ => {}
        }
        self.create(&file, text).map_err(|error| failed(&self.path.join(&file), &error))
    }

    /// Refuses a name that has a definition here.
    pub(super) fn refuse_existing(&self, name: &str) -> Result<(), Problem> {
        for ending in ["toml", "yaml", "yml"] {
            let file = format!("{name}.{ending}");
            if self.folder.symlink_metadata(&file).is_ok() {
                let message = format!("{} already exists", self.path.join(file).display());
                return Err(Problem::error(Code::DuplicateDefinition, message)
                    .hint("Nothing was changed. Edit that file, or choose another name."));
            }
        }
        Ok(())
    }

    /// Takes the file back where it brought errors that were not there before: what options put together may
    /// contradict itself, its layer's rules or another definition.
    fn refuse_wrong(&self, file: &str, after: Vec<Problem>, before: &[Problem]) -> Result<(), Failure> {
        let is_known = |problem: &Problem| before.iter().any(|known| known.message == problem.message);
        let added: Vec<Problem> = after.into_iter().filter(|problem| !is_known(problem)).collect();
        if added.is_empty() {
            return Ok(());
        }
        // That it stays is no harm: the next command says what is wrong with it.
        let _ = self.folder.remove_file(file);
        let hint = "Nothing was written: choose other options, as `farrier new --help` lists them.";
        Err(Failure::of(added.into_iter().map(|problem| problem.hint(hint)).collect()))
    }

    /// Writes the schema beside it, for editors, where there is none yet.
    pub(super) fn write_schema(&self) -> Result<(), Problem> {
        match self.create(SCHEMA_FILE, &indented(&of_definitions())) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(failed(&self.path.join(SCHEMA_FILE), &error))
            }
            _ => Ok(()),
        }
    }

    fn create(&self, file: &str, text: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(MODE);
        self.folder.open_with(file, &options)?.write_all(text.as_bytes())
    }
}

fn failed(path: &Path, error: &io::Error) -> Problem {
    Problem::error(Code::LayerUnusable, format!("cannot write {}: {error}", path.display()))
        .hint("Check the permissions of its folder, or name another layer with `--layer`.")
}
