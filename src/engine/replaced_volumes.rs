//! What becomes of the anonymous volumes of an instance that is replaced: the new one takes over those that its image still
//! declares, and the others are left. Pure.

use crate::plan::Step;
use crate::plan::instance::{Instance, Mounted};
use crate::plan::sidecar::Sidecar;

/// The steps for the volumes of an instance whose replacement has an image with volumes at these paths; `None` if the image is
/// not known yet. `removal` gives the command that removes a volume, if there is one.
pub(super) fn steps(
    sidecar: &Sidecar,
    instance: &Instance,
    paths: Option<&[String]>,
    removal: impl Fn(&Mounted) -> Option<String>,
) -> Vec<Step> {
    let declared = &sidecar.definition.container.mounts;
    let is_declared = |target: &str| declared.iter().any(|mount| mount.target() == Some(target));
    // An image that is pulled first is not known yet: whatever it declares, data is not dropped.
    let (volumes, unused): (Vec<Mounted>, Vec<Mounted>) =
        instance.volumes.iter().cloned().partition(|mount| {
            let is_of_the_image = paths
                .is_none_or(|paths| paths.iter().any(|target| target.trim_end_matches('/') == mount.target));
            is_of_the_image && !is_declared(&mount.target)
        });
    let mut steps = Vec::new();
    if !volumes.is_empty() {
        steps.push(Step::Carry {
            volumes,
            changed_since: sidecar.configuration().changed_since_data(instance),
            sidecar: sidecar.name().to_owned(),
        });
    }
    steps.extend(unused.into_iter().map(|volume| {
        let removal = removal(&volume);
        Step::LeaveVolume { volume, removal }
    }));
    steps
}
