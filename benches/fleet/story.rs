//! What happens to a fleet.

/// Seconds from the beginning of the simulation.
pub(crate) type Seconds = f64;

/// When the event of a story happens. By then the fleet has come together.
pub(crate) const EVENT: Seconds = 1800.0;

/// What a nameserver answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answers {
    /// The addresses that are there.
    True,
    /// What was there this long ago.
    Late(Seconds),
    /// Every second address.
    Half,
    /// The lower addresses only.
    LowerHalf,
    /// Nothing.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Story {
    /// Nothing happens. The clocks of the nodes differ by up to a second, as in all stories.
    Steady,
    /// All start within one second, and the nameserver lists them half a minute later.
    Start,
    /// A tenth at a time restarts within 20 seconds, until all have.
    Rollout,
    /// In ten minutes the fleet grows to its size from a fifth.
    Growth,
    /// In ten minutes it shrinks to a fifth.
    Shrinking,
    /// A third is gone for twenty minutes and comes back at once.
    ZoneOutage,
    /// The nameserver lags a minute behind while a third goes and comes back.
    LateAnswers,
    /// It leaves out every second address for four minutes.
    ShortAnswers,
    /// It leaves out the upper half of the addresses for four minutes.
    LopsidedAnswers,
    /// It says nothing for twenty minutes.
    NoAnswers,
    /// The network is cut for all for ten minutes; requests are not counted meanwhile.
    Cut,
    /// All see the way to the registry change, with the same round or the next ones.
    Drift,
    /// The way changes every half a minute for twenty minutes.
    Flapping,
}

impl Story {
    pub(crate) const ALL: [Self; 13] = [
        Self::Steady,
        Self::Start,
        Self::Rollout,
        Self::Growth,
        Self::Shrinking,
        Self::ZoneOutage,
        Self::LateAnswers,
        Self::ShortAnswers,
        Self::LopsidedAnswers,
        Self::NoAnswers,
        Self::Cut,
        Self::Drift,
        Self::Flapping,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Start => "start at once",
            Self::Rollout => "roll-out",
            Self::Growth => "growth",
            Self::Shrinking => "shrinking",
            Self::ZoneOutage => "zone outage",
            Self::LateAnswers => "late answers",
            Self::ShortAnswers => "short answers",
            Self::LopsidedAnswers => "lopsided answers",
            Self::NoAnswers => "no answers",
            Self::Cut => "network cut",
            Self::Drift => "drift",
            Self::Flapping => "flapping",
        }
    }

    /// The simulation lasts at least this long after the event. Agents believe late that a fleet shrinks.
    pub(crate) fn length(self) -> Seconds {
        match self {
            Self::Shrinking => 5400.0,
            _ => 2400.0,
        }
    }

    /// When the `rank`th of `size` nodes, of which none ran long before, is up: from, until.
    /// `chance` is the node's own, from 0 to 1.
    pub(crate) fn lives(self, rank: u32, size: u32, chance: f64) -> Vec<(Seconds, Seconds)> {
        let part = f64::from(rank) / f64::from(size);
        let (early, end) = (chance * 600.0, f64::INFINITY);
        let returns = |from: Seconds| vec![(early, EVENT), (EVENT + from, end)];
        match self {
            Self::Start => vec![(EVENT + chance, end)],
            Self::Rollout => {
                let from = EVENT + (part * 10.0).floor() * 40.0 + chance * 5.0;
                vec![(early, from), (from + 20.0, end)]
            }
            Self::Growth if !rank.is_multiple_of(5) => vec![(EVENT + chance * 600.0, end)],
            Self::Shrinking if !rank.is_multiple_of(5) => vec![(early, EVENT + chance * 600.0)],
            Self::ZoneOutage | Self::LateAnswers if rank.is_multiple_of(3) => {
                returns(1200.0 + chance)
            }
            _ => vec![(early, end)],
        }
    }

    pub(crate) fn answers(self, now: Seconds) -> Answers {
        let until = |length| (EVENT..EVENT + length).contains(&now);
        match self {
            Self::LateAnswers => Answers::Late(60.0),
            Self::ShortAnswers if until(240.0) => Answers::Half,
            Self::LopsidedAnswers if until(240.0) => Answers::LowerHalf,
            Self::NoAnswers if until(1200.0) => Answers::None,
            Self::Start => Answers::Late(30.0),
            _ => Answers::True,
        }
    }

    /// Whether nodes see changes.
    pub(crate) fn changes(self) -> bool {
        matches!(self, Self::Drift | Self::Flapping)
    }

    /// The number of the way to the registry.
    pub(crate) fn way(self, now: Seconds) -> u32 {
        match self {
            Self::Drift => u32::from(now >= EVENT),
            Self::Flapping => ((now - EVENT).clamp(0.0, 1200.0) / 30.0) as u32,
            _ => 0,
        }
    }

    /// Whether requests are lost at this time.
    pub(crate) fn is_cut(self, now: Seconds) -> bool {
        self == Self::Cut && (EVENT..EVENT + 600.0).contains(&now)
    }
}
