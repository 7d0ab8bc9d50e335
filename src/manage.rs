//! Everything but launching: which containers are farrier's and how they stand to what is declared (`managed`), removing
//! them (`removal`), and what this machine lacks (`doctor`).

pub mod doctor;
pub mod managed;
pub mod removal;
pub mod sessions;
