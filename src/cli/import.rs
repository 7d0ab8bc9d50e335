//! `import`: definitions from a compose file.

use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::data::print;
use super::new::Target;
use crate::cli::options::{Import, LaunchOptions, NewLayer};
use crate::definition::draft::check_name;
use crate::definition::import::{Imported, ImportedService, Outcome, from_compose};
use crate::definition::{Definition, of_source};
use crate::preparation::permitted::{policies, surroundings};
use crate::preparation::settings::Settings;
use crate::report::error::{Code, Failure, Problem, Source};
use crate::report::escape::escape;
use crate::report::exit;

/// The largest file that is read, in bytes.
const MOST_BYTES: u64 = 8 << 20;

/// Translates, writes or prints, and gives the account of every key.
pub fn import(options: &Import) -> Result<u8, Failure> {
    let text = read(&options.file)?;
    let settings = Settings::new(&options.layers, &LaunchOptions::default());
    // Whether anything of it may start is known before anything is written.
    let policies = policies(&settings).map_err(Failure::of)?;
    let directories = &settings.directories;
    let (layer, folder) = super::new::folder(options.layer, directories)?;
    let here =
        options.file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let imported = from_compose(&text, &options.services, &between(&folder, here))?;
    for service in &imported.services {
        check_name(&service.name).map_err(|reason| {
            let message = format!("`{}` cannot be a sidecar's name: {reason}", escape(&service.name));
            Problem::error(Code::InvalidValue, message).hint("Rename the service, or name those to import.")
        })?;
    }
    if options.dry_run {
        for service in &imported.services {
            print(&format!("# {}.toml\n{}\n", escape(&service.name), shown(&service.toml)));
        }
    } else {
        let target = Target::open(&folder, &directories.working_trees)?;
        // Nothing is written where one of them could not be.
        for service in imported.services.iter().filter(|_| !options.force) {
            target.refuse_existing(&service.name)?;
        }
        for service in &imported.services {
            target.replace(&service.name, &service.toml)?;
        }
        target.write_schema()?;
    }
    print(&account(&imported, &folder, options.dry_run));
    let definitions = imported.services.iter().flat_map(|service| written(service, &folder, layer));
    let refusals = definitions.flat_map(|definition| policies.refusals(&definition, surroundings(&settings)));
    let refusals: Vec<Problem> = refusals.collect();
    // What a policy refuses can be edited, so that it is written all the same.
    if refusals.is_empty() { Ok(exit::SUCCESS) } else { Err(Failure::of(refusals)) }
}

/// The definition of a service, as a launch would read it.
fn written(service: &ImportedService, folder: &Path, layer: NewLayer) -> Vec<Definition> {
    let path = folder.join(format!("{}.toml", service.name));
    let source = Arc::new(Source { path, text: service.toml.clone() });
    of_source(&source, layer.of_definitions()).definitions
}

fn read(file: &Path) -> Result<String, Problem> {
    let failed = |reason: String| {
        Problem::error(Code::FileUnusable, format!("cannot read {}: {reason}", file.display()))
            .hint("Name a compose file: `farrier import compose.yaml`.")
    };
    // Also from a pipe, such as `<(docker compose config)`: who names it waits for it.
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|error| failed(error.to_string()))?;
    opened.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    Ok(text)
}

/// The path from one folder to another; absolute if they have nothing in common.
fn between(from: &Path, to: &Path) -> PathBuf {
    let whole = |path: &Path| {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // `canonicalize` needs the folder to be there.
        absolute.canonicalize().unwrap_or(absolute)
    };
    let (from, to) = (whole(from), whole(to));
    let common = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    if common <= 1 {
        return to;
    }
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    up.chain(to.components().skip(common)).collect()
}

/// Text that a terminal shows as it is.
fn shown(text: &str) -> String {
    text.lines().map(|line| escape(line) + "\n").collect()
}

fn account(imported: &Imported, folder: &Path, is_dry: bool) -> String {
    let services = imported.services.iter().map(|service| (service.name.as_str(), service.keys.as_slice()));
    let beside = Some(("the file itself", imported.keys.as_slice())).filter(|(_, keys)| !keys.is_empty());
    let (mut text, mut lost) = (String::new(), 0);
    for (name, keys) in services.chain(beside) {
        text.push_str(&format!("{}:\n", escape(name)));
        for (key, outcome) in keys {
            let what = match outcome {
                Outcome::Translated(to) => format!("is {}", escape(to)),
                Outcome::NotNeeded(reason) => format!("is not needed: {reason}"),
                Outcome::Lost(hint) => {
                    lost += 1;
                    format!("IS NOT TRANSLATED: {}", escape(hint))
                }
            };
            text.push_str(&format!("  {} {what}\n", escape(key)));
        }
    }
    let counted =
        |count: usize, what: &str| if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") };
    let definitions = counted(imported.services.len(), "definition");
    let keys = counted(lost, "key");
    let folder = escape(&folder.display().to_string());
    if is_dry {
        text.push_str(&format!("{definitions}, not written; not translated: {keys}\n"));
    } else {
        text.push_str(&format!("{definitions} in {folder}; not translated: {keys}\n"));
        text.push_str("Next: `farrier validate`, then `farrier up`\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_from_one_folder_to_another() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().canonicalize().expect("a path");
        for folder in ["p/.farrier/sidecars", "p/deploy"] {
            std::fs::create_dir_all(root.join(folder)).expect("folders");
        }
        assert_eq!(between(&root.join("p/.farrier/sidecars"), &root.join("p")), Path::new("../.."));
        assert_eq!(
            between(&root.join("p/.farrier/sidecars"), &root.join("p/deploy")),
            Path::new("../../deploy")
        );
    }
}
