//! How probes reach containers: `route` decides between straight and through a relay, `relay` is the latter. What they
//! ask there is in `probe`.

pub mod relay;
pub mod route;
