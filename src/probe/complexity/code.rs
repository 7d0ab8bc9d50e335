//! How many values the compiler tracks for one function.

use wasmparser::{BinaryReaderError, BlockType, CompositeInnerType, FunctionBody, Operator, SubType};

use super::Module;

/// How many values go into a function, and how many come out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signature {
    parameters: u64,
    results: u64,
}

impl Signature {
    pub(super) fn of(kind: &SubType) -> Self {
        match &kind.composite_type.inner {
            CompositeInnerType::Func(function) => {
                Self { parameters: function.params().len() as u64, results: function.results().len() as u64 }
            }
            _ => Self::default(),
        }
    }

    const fn all(self) -> u64 {
        self.parameters + self.results
    }
}

/// Values of the body that comes next in a module.
pub(super) fn values(module: &Module, body: &FunctionBody<'_>) -> Result<u64, BinaryReaderError> {
    let own = module.function(u32::try_from(module.imported + module.bodies).unwrap_or(u32::MAX));
    let mut locals = own.parameters;
    for declared in body.get_locals_reader()? {
        locals = locals.saturating_add(declared?.0.into());
    }
    let block = |kind: BlockType| match kind {
        BlockType::Empty => Signature::default(),
        BlockType::Type(_) => Signature { parameters: 0, results: 1 },
        BlockType::FuncType(index) => module.signature(index),
    };
    // How many values a branch to each label carries, the innermost last.
    let mut labels = vec![own.results];
    let carried = |labels: &[u64], depth: u32| labels.iter().rev().nth(depth as usize).copied().unwrap_or(0);
    let mut values = locals.saturating_add(own.results);
    // Where paths meet, each local may need a value of its own.
    let mut meetings = 0_u64;
    for operator in body.get_operators_reader()? {
        let more = match operator? {
            Operator::Loop { blockty } => {
                meetings += 1;
                labels.push(block(blockty).parameters);
                block(blockty).all()
            }
            Operator::Block { blockty } | Operator::If { blockty } => {
                meetings += 1;
                labels.push(block(blockty).results);
                block(blockty).all()
            }
            Operator::End => {
                labels.pop();
                0
            }
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                module.function(function_index).all()
            }
            Operator::CallIndirect { type_index, .. } | Operator::ReturnCallIndirect { type_index, .. } => {
                module.signature(type_index).all()
            }
            Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => {
                carried(&labels, relative_depth)
            }
            Operator::BrTable { targets } => {
                let mut all = carried(&labels, targets.default());
                for target in targets.targets() {
                    all = all.saturating_add(1 + carried(&labels, target?));
                }
                all
            }
            Operator::Return => own.results,
            _ => 0,
        };
        values = values.saturating_add(more + 1);
    }
    Ok(values.saturating_add(meetings.saturating_mul(locals)))
}
