//! What can be read off the sources: the rules of ARCHITECTURE.md, and that the committed probes belong to theirs. The
//! package leaves these tests out, since it lacks some of the sources.

mod architecture;
mod built_guests;
mod built_probes;
mod contract_number;
mod pages;
