//! Probes that trusted definitions pin and that this user's cache lacks, downloaded before anything is checked. farrier
//! contacts no registry that only a workspace names: `farrier probe pull` does, because somebody runs it.

use crate::definition::model::{Definition, Readiness};
use crate::definition::{self, ArtifactReference, ReadingBudget};
use crate::probe::artifacts::cached::ArtifactCache;
use crate::probe::artifacts::transfer::Registries;
use crate::probe::artifacts::{Pin, obtain, references};
use crate::report::error::{Code, Problem};

/// A pinned probe that is not in the cache.
pub struct MissingProbe<'a> {
    definition: &'a Definition,
    readiness: &'a Readiness,
    reference: &'a ArtifactReference,
    pin: Pin,
}

impl MissingProbe<'_> {
    /// The sidecar that needs it.
    #[must_use]
    pub fn sidecar(&self) -> &str {
        &self.definition.name
    }

    /// The reference, as the definition writes it.
    #[must_use]
    pub fn reference(&self) -> String {
        self.reference.to_string()
    }

    /// Downloads it.
    ///
    /// # Errors
    /// If the registry does not give the pinned bytes.
    pub async fn download(&self, registries: &Registries) -> Result<(), Problem> {
        let obtained = obtain(registries, &ArtifactCache::of_user(), self.reference, &self.pin).await;
        obtained.map(drop).map_err(|problem| {
            let place = self.definition.place(&format!("{}.probe", self.readiness.field));
            definition::in_the_files_language(problem.at(place).of(&self.definition.name))
        })
    }
}

/// What is missing of the probes that trusted definitions pin. What is wrong with a pin, the check of the probe says.
#[must_use]
pub fn missing<'a>(definitions: &'a [Definition], budget: &ReadingBudget) -> Vec<MissingProbe<'a>> {
    let trusted = definitions.iter().filter(|definition| definition.layer.is_trusted());
    let each = trusted.flat_map(|definition| references(definition).map(move |found| (definition, found)));
    each.filter_map(|(definition, (readiness, reference))| {
        let pin = Pin::find(definition, readiness, reference, budget).ok()?;
        let cache = ArtifactCache::of_user();
        let is_there = pin.component(&cache).is_some_and(|sha256| cache.open(&sha256).is_ok());
        (!is_there).then_some(MissingProbe { definition, readiness, reference, pin })
    })
    .collect()
}

/// Drops what a failed download says better: that the probe is not in the cache.
pub fn drop_explained(problems: &mut Vec<Problem>) {
    let failed: Vec<_> = problems
        .iter()
        .filter(|problem| problem.code != Code::ProbeNotPulled && problem.place.is_some())
        .map(|problem| (problem.sidecar.clone(), problem.place.clone()))
        .collect();
    problems.retain(|problem| {
        let is_explained =
            || failed.iter().any(|(sidecar, place)| *sidecar == problem.sidecar && *place == problem.place);
        problem.code != Code::ProbeNotPulled || !is_explained()
    });
}
