//! Two components' types, held against each other.

use wasmparser::PrimitiveValType;
use wasmparser::component_types::{
    AliasableResourceId, ComponentDefinedType, ComponentFuncTypeId, ComponentValType,
};

use super::outside::Outside;

/// Compares types as wasmtime does when it links: by structure, with the names of fields and cases, without those of
/// types and parameters.
pub struct Comparison<'a> {
    /// What is wanted.
    pub contract: &'a Outside,
    /// What there is.
    pub found: &'a Outside,
}

impl Comparison<'_> {
    /// Compares one function.
    ///
    /// # Errors
    /// The first difference.
    pub fn function(&self, wanted: ComponentFuncTypeId, found: ComponentFuncTypeId) -> Result<(), String> {
        let (wanted, found) = (&self.contract.types[wanted], &self.found.types[found]);
        if found.async_ {
            return Err("it is asynchronous".to_owned());
        }
        if wanted.params.len() != found.params.len() {
            return Err(format!(
                "it has {} parameters in place of {}",
                found.params.len(),
                wanted.params.len()
            ));
        }
        for ((name, wanted), (_, found)) in wanted.params.iter().zip(&found.params) {
            self.value(wanted, found).map_err(|why| format!("parameter `{name}`: {why}"))?;
        }
        self.optional(wanted.result.as_ref(), found.result.as_ref()).map_err(|why| format!("result: {why}"))
    }

    fn optional(
        &self,
        wanted: Option<&ComponentValType>,
        found: Option<&ComponentValType>,
    ) -> Result<(), String> {
        match (wanted, found) {
            (None, None) => Ok(()),
            (Some(wanted), Some(found)) => self.value(wanted, found),
            (Some(wanted), None) => Err(format!("nothing in place of {}", kind(self.contract, wanted))),
            (None, Some(found)) => Err(format!("{} in place of nothing", kind(self.found, found))),
        }
    }

    fn value(&self, wanted: &ComponentValType, found: &ComponentValType) -> Result<(), String> {
        use ComponentDefinedType as Defined;
        let differs =
            || Err(format!("{} in place of {}", kind(self.found, found), kind(self.contract, wanted)));
        let (wanted, found) = match (defined(self.contract, wanted), defined(self.found, found)) {
            (Ok(wanted), Ok(found)) => (wanted, found),
            (Err(wanted), Err(found)) if wanted == found => return Ok(()),
            _ => return differs(),
        };
        match (wanted, found) {
            (Defined::Record(wanted), Defined::Record(found)) => {
                let wanted: Vec<_> =
                    wanted.fields.iter().map(|(name, held)| (name.as_str(), Some(held))).collect();
                let found: Vec<_> =
                    found.fields.iter().map(|(name, held)| (name.as_str(), Some(held))).collect();
                self.named("field", &wanted, &found)
            }
            (Defined::Variant(wanted), Defined::Variant(found)) => {
                let wanted: Vec<_> =
                    wanted.cases.iter().map(|(name, case)| (name.as_str(), case.ty.as_ref())).collect();
                let found: Vec<_> =
                    found.cases.iter().map(|(name, case)| (name.as_str(), case.ty.as_ref())).collect();
                self.named("case", &wanted, &found)
            }
            (Defined::Enum(wanted), Defined::Enum(found)) => {
                let wanted: Vec<_> = wanted.iter().map(|name| (name.as_str(), None)).collect();
                let found: Vec<_> = found.iter().map(|name| (name.as_str(), None)).collect();
                self.named("case", &wanted, &found)
            }
            (Defined::Flags(wanted), Defined::Flags(found)) => {
                let wanted: Vec<_> = wanted.iter().map(|name| (name.as_str(), None)).collect();
                let found: Vec<_> = found.iter().map(|name| (name.as_str(), None)).collect();
                self.named("flag", &wanted, &found)
            }
            (Defined::Tuple(wanted), Defined::Tuple(found)) if wanted.types.len() == found.types.len() => {
                let mut parts = wanted.types.iter().zip(&found.types);
                parts.try_for_each(|(wanted, found)| self.value(wanted, found))
            }
            (Defined::List { element: wanted, .. }, Defined::List { element: found, .. })
            | (Defined::Option { ty: wanted, .. }, Defined::Option { ty: found, .. }) => {
                self.value(wanted, found)
            }
            (
                Defined::Result { ok: wanted, err: wanted_error, .. },
                Defined::Result { ok: found, err: found_error, .. },
            ) => {
                self.optional(wanted.as_ref(), found.as_ref())?;
                self.optional(wanted_error.as_ref(), found_error.as_ref())
                    .map_err(|why| format!("error: {why}"))
            }
            (Defined::Own(wanted), Defined::Own(found))
            | (Defined::Borrow(wanted), Defined::Borrow(found))
                if self.contract.resource(*wanted).is_some()
                    && self.contract.resource(*wanted) == self.found.resource(*found) =>
            {
                Ok(())
            }
            // Neither the contract nor WASI has another kind of type.
            _ => differs(),
        }
    }

    /// Fields or cases, which have an order.
    fn named(
        &self,
        part: &str,
        wanted: &[(&str, Option<&ComponentValType>)],
        found: &[(&str, Option<&ComponentValType>)],
    ) -> Result<(), String> {
        let has = |parts: &[(&str, Option<&ComponentValType>)], name: &str| {
            parts.iter().any(|(known, _)| *known == name)
        };
        if let Some((name, _)) = wanted.iter().find(|(name, _)| !has(found, name)) {
            return Err(format!("it lacks the {part} `{name}`"));
        }
        if let Some((name, _)) = found.iter().find(|(name, _)| !has(wanted, name)) {
            return Err(format!("it has the {part} `{name}`, which the contract lacks"));
        }
        for ((name, wanted), (at_its_place, found)) in wanted.iter().zip(found) {
            if name != at_its_place {
                return Err(format!("the {part} `{at_its_place}` is in the place of `{name}`"));
            }
            self.optional(*wanted, *found).map_err(|why| format!("{part} `{name}`: {why}"))?;
        }
        Ok(())
    }
}

impl Outside {
    fn resource(&self, id: AliasableResourceId) -> Option<&str> {
        self.resources.get(&id.resource()).map(String::as_str)
    }
}

/// The type behind a value, or the primitive type that it is.
fn defined<'o>(
    outside: &'o Outside,
    value: &ComponentValType,
) -> Result<&'o ComponentDefinedType, PrimitiveValType> {
    match value {
        ComponentValType::Primitive(primitive) => Err(*primitive),
        ComponentValType::Type(id) => match &outside.types[*id] {
            ComponentDefinedType::Primitive(primitive) => Err(*primitive),
            found => Ok(found),
        },
    }
}

/// What kind of type it is, in a word or two.
fn kind(outside: &Outside, value: &ComponentValType) -> String {
    use ComponentDefinedType as Defined;
    let word = match defined(outside, value) {
        Err(primitive) => return format!("`{primitive}`"),
        Ok(Defined::Record(_)) => "a record",
        Ok(Defined::Variant(_)) => "a variant",
        Ok(Defined::List { .. }) => "a list",
        Ok(Defined::Tuple(_)) => "a tuple",
        Ok(Defined::Flags(_)) => "flags",
        Ok(Defined::Enum(_)) => "an enum",
        Ok(Defined::Option { .. }) => "an option",
        Ok(Defined::Result { .. }) => "a result",
        Ok(Defined::Own(_) | Defined::Borrow(_)) => "a resource",
        Ok(_) => "another type",
    };
    word.to_owned()
}
