//! The web pages. They are complete without JavaScript; with it, the status page fetches itself again and
//! replaces what changed. They are made from the status document and the history, and load nothing from
//! outside the agent.

mod assets;
mod findings;
mod fleet;
mod frame;
mod html;
mod markdown;
mod overview;
mod round;
mod rounds;
mod runbook;
mod words;

pub(crate) use self::{
    assets::{ASSETS, POLICY},
    fleet::fleet,
    overview::overview,
    round::round,
    rounds::rounds,
    runbook::{Known, runbook, runbooks},
};
