//! Nodes, a nameserver and a registry in virtual time. What a node does is decided by the agent's
//! own [`Timetable`] and [`Census`]; here is only who is up, what it is answered, and what gets out.

use std::{cmp::Reverse, collections::BinaryHeap, net::Ipv4Addr, time::Duration};

use regprobe::{
    config::Config,
    schedule::{
        fleet::{Answer, Census, scattered},
        timetable::{Intervals, Moment, Timetable},
    },
};
use regprobe_probes::Depth;

use crate::story::{Answers, EVENT, Seconds, Story};

/// Requests a minute, as configured by default.
pub(crate) const BUDGET: u32 = 1000;
/// Addresses in one DNS message.
const MOST_ADDRESSES: u32 = 4090;
/// How long is simulated after the event, at least: a fleet that shrinks is believed to late.
const LENGTH: Seconds = 3.0 * 3600.0;
/// Figures begin here: before, the fleet comes together.
const SETTLED: Seconds = 1800.0;
/// How long a node takes to be asked for, and to have its answer.
const QUESTION: Seconds = 0.005;
/// The hash of the registry that is looked at, one of twenty.
const REGISTRY: u64 = 0xd1b5_4a32_d192_ed03;

/// What the registry saw.
pub(crate) struct Seen {
    /// When there were requests, in order.
    pub(crate) requests: Vec<Seconds>,
    pub(crate) end: Seconds,
    pub(crate) longest_gap: f64,
    pub(crate) shortest_gap: f64,
    pub(crate) unprobed: Seconds,
}

/// What chance decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    /// Which of many.
    pub(crate) number: u64,
    /// How far clocks are apart.
    pub(crate) clocks: Seconds,
}

impl Default for Draw {
    /// That of the tests.
    fn default() -> Self {
        Self {
            number: 0,
            clocks: 1.0,
        }
    }
}

/// Lives through a story with so many nodes.
pub(crate) fn simulate(story: Story, size: u32, draw: Draw) -> Seen {
    let config = config(size);
    let intervals = Intervals::from(&config.schedule);
    let mut world = World::new(story, size, draw, &config, intervals);
    while let Some(Reverse((at, node, what))) = world.events.pop() {
        let now = at as f64 / 1e6;
        if now >= world.seen.end {
            break;
        }
        match what {
            What::Starts => world.start(node, now),
            What::Ends => world.end(node, now),
            What::Asks(life) => world.ask(node, life, now),
            What::Probes(life, number) => world.probe(node, life, number, now),
        }
    }
    world.seen.requests.sort_by(f64::total_cmp);
    world.seen
}

/// A fleet that does not fit into an answer is one of which the operator says the size.
fn config(size: u32) -> Config {
    let size = match size > MOST_ADDRESSES {
        true => size.to_string(),
        false => "auto".to_owned(),
    };
    let text = format!(
        "registries: [{{server: contoso.azurecr.io}}]\n\
         fleet: {{size: {size}, service: regprobe.kube-system.svc.cluster.local, \
         requests_per_minute: {BUDGET}}}\n"
    );
    Config::parse(&text).expect("the text is ours")
}

/// In the order in which they come at the same time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Ends,
    Starts,
    /// In which of its lives.
    Asks(u32),
    /// And by which of its plans.
    Probes(u32, u32),
}

struct World {
    story: Story,
    config: Config,
    intervals: Intervals,
    nodes: Vec<Node>,
    /// The numbers of nodes in the order of their scattered addresses.
    order: Vec<u32>,
    /// Where in that order those are that are up, and were when: the last is now.
    up: Vec<(Seconds, Vec<u32>)>,
    events: BinaryHeap<Reverse<(u64, u32, What)>>,
    seen: Seen,
}

#[derive(Default)]
struct Node {
    /// Its clock is so much ahead.
    ahead: Seconds,
    /// Of its address.
    scattered: u64,
    /// Where it is in the order of all.
    place: u32,
    life: u32,
    plan: u32,
    started: Seconds,
    census: Option<Census>,
    timetable: Option<Timetable>,
    /// The last request, or the start, and the longest interval stated since.
    last: (Seconds, Seconds),
    has_asked: bool,
}

impl World {
    fn new(story: Story, size: u32, draw: Draw, config: &Config, intervals: Intervals) -> Self {
        let pace = Census::start(config.fleet.clone(), 0, Moment::default()).fleet();
        let longest = pace
            .pace(&intervals, 0)
            .interval(Depth::Request)
            .as_secs_f64();
        let mut world = Self {
            story,
            config: config.clone(),
            intervals,
            nodes: Vec::new(),
            order: (0..size).collect(),
            up: vec![(0.0, Vec::new())],
            events: BinaryHeap::new(),
            seen: Seen {
                requests: Vec::new(),
                end: EVENT + LENGTH.max(3.0 * longest),
                longest_gap: 0.0,
                shortest_gap: f64::INFINITY,
                unprobed: 0.0,
            },
        };
        let mut chance = Chance(0x2545_f491_4f6c_dd1d ^ draw.number.wrapping_mul(REGISTRY));
        for rank in 0..size {
            // Addresses that a cluster hands out one after another, some for pods in between.
            let address = u32::from_be_bytes([10, 240, 0, 4]) + 3 * rank;
            world.nodes.push(Node {
                ahead: chance.next() * draw.clocks,
                scattered: scattered(Ipv4Addr::from(address).into()),
                ..Node::default()
            });
            for (from, until) in story.lives(rank, size, chance.next()) {
                world.at(from, rank, What::Starts);
                if until.is_finite() {
                    world.at(until, rank, What::Ends);
                }
            }
        }
        let nodes = &mut world.nodes;
        let order = &mut world.order;
        order.sort_by_key(|node| nodes[*node as usize].scattered);
        for (place, node) in (0..).zip(order) {
            nodes[*node as usize].place = place;
        }
        world
    }

    fn at(&mut self, time: Seconds, node: u32, what: What) {
        self.events.push(Reverse(((time * 1e6) as u64, node, what)));
    }

    fn start(&mut self, rank: u32, now: Seconds) {
        let Node {
            scattered, place, ..
        } = self.nodes[rank as usize];
        self.list(now, |up| {
            let before = up.partition_point(|other| *other < place);
            up.insert(before, place);
        });
        let moment = self.moment(rank, now);
        let census = Census::start(self.config.fleet.clone(), scattered, moment);
        let node = &mut self.nodes[rank as usize];
        node.life += 1;
        node.census = Some(census);
        node.timetable = None;
        node.started = now;
        node.last = (now, 0.0);
        node.has_asked = false;
        let life = node.life;
        self.at(now + QUESTION, rank, What::Asks(life));
    }

    fn end(&mut self, rank: u32, now: Seconds) {
        let place = self.nodes[rank as usize].place;
        self.list(now, |up| up.retain(|other| *other != place));
        let node = &mut self.nodes[rank as usize];
        node.life += 1;
        node.census = None;
        node.timetable = None;
    }

    /// The size is answered, and what follows from it is planned.
    fn ask(&mut self, rank: u32, life: u32, now: Seconds) {
        if self.nodes[rank as usize].life != life {
            return;
        }
        let answer = self.answer(rank, now);
        let moment = self.moment(rank, now);
        let intervals = self.intervals;
        let node = &mut self.nodes[rank as usize];
        let Some(census) = &mut node.census else {
            return;
        };
        match answer {
            Some(answer) => census.hear(moment, answer),
            None => census.miss(),
        }
        let fleet = census.fleet();
        let (pace, place) = (
            fleet.pace(&intervals, 0),
            fleet.place.seen_from(REGISTRY, 20),
        );
        let timetable = match &mut node.timetable {
            Some(timetable) => {
                timetable.adopt(moment, pace, place);
                timetable
            }
            none => none.insert(Timetable::start(moment, pace, place, Depth::Network)),
        };
        timetable.hold(Depth::Request, fleet.quiet_until);
        let stated = pace.interval(Depth::Request).as_secs_f64();
        node.last.1 = stated.max(node.last.1);
        node.plan += 1;
        let wait = census.patience(moment).as_secs_f64();
        self.plan(rank);
        self.at(now + wait, rank, What::Asks(life));
    }

    fn plan(&mut self, rank: u32) {
        let node = &self.nodes[rank as usize];
        if let Some(timetable) = &node.timetable {
            // `awake` counts from 1,000,000 at the beginning.
            let due = timetable.due().as_secs_f64() - 1e6;
            let what = What::Probes(node.life, node.plan);
            // Timers are late, never early.
            self.at(due + 0.001, rank, what);
        }
    }

    fn probe(&mut self, rank: u32, life: u32, plan: u32, now: Seconds) {
        let moment = self.moment(rank, now);
        let node = &mut self.nodes[rank as usize];
        let Some(timetable) = node
            .timetable
            .as_mut()
            .filter(|_| (node.life, node.plan) == (life, plan))
        else {
            return;
        };
        let tick = timetable.take(moment);
        let stated = timetable.pace().interval(Depth::Request).as_secs_f64();
        let (last, longest) = node.last;
        let longest = stated.max(longest);
        if tick.depth >= Depth::Request {
            let gap = now - last;
            if now >= SETTLED {
                self.seen.longest_gap = self.seen.longest_gap.max(gap / longest);
                self.seen.unprobed = self.seen.unprobed.max(gap);
                if node.has_asked {
                    self.seen.shortest_gap = self.seen.shortest_gap.min(gap / stated);
                }
                let requests = match tick.depth {
                    Depth::Network => 0,
                    Depth::Request => 1,
                    Depth::Token | Depth::Image => 2,
                };
                if !self.story.is_cut(now) {
                    self.seen.requests.extend((0..requests).map(|_| now));
                }
            }
            node.last = (now, stated);
            node.has_asked = true;
        } else if now >= SETTLED {
            self.seen.longest_gap = self.seen.longest_gap.max((now - last) / longest);
        }
        node.plan += 1;
        self.plan(rank);
    }

    fn list(&mut self, now: Seconds, change: impl FnOnce(&mut Vec<u32>)) {
        let (_, last) = self.up.last().expect("there is a first");
        let mut up = last.clone();
        change(&mut up);
        // Older lists than any answer can be of are of no more use.
        while self
            .up
            .get(1)
            .is_some_and(|(since, _)| *since < now - 120.0)
        {
            self.up.remove(0);
        }
        // Nobody tells changes within a second apart.
        match self.up.last_mut() {
            Some((since, last)) if *since > now - 1.0 => *last = up,
            _ => self.up.push((now, up)),
        }
    }

    fn answer(&self, rank: u32, now: Seconds) -> Option<Answer> {
        let answers = self.story.answers(now);
        let delay = match answers {
            Answers::Late(delay) => delay,
            _ => 0.0,
        };
        let known = self
            .up
            .iter()
            .rev()
            .find(|(since, _)| *since <= now - delay);
        let up = &known.or_else(|| self.up.first())?.1;
        let listed = |node: u32| match answers {
            Answers::True | Answers::Late(_) => true,
            Answers::Half => node.is_multiple_of(2),
            Answers::LowerHalf => node < self.nodes.len() as u32 / 2,
            Answers::None => false,
        };
        let place = self.nodes[rank as usize].place;
        let (count, before) = match answers {
            Answers::True | Answers::Late(_) => {
                (up.len(), up.partition_point(|other| *other < place))
            }
            _ => {
                let listed = || {
                    up.iter()
                        .filter(|other| listed(self.order[**other as usize]))
                };
                (
                    listed().count(),
                    listed().filter(|other| **other < place).count(),
                )
            }
        };
        let is_there = listed(rank) && up.binary_search(&place).is_ok();
        let count = count as u32;
        (count > 0).then_some(Answer {
            count: count.min(MOST_ADDRESSES),
            rank: is_there.then_some(before as u32),
            is_cut: count > MOST_ADDRESSES,
        })
    }

    fn moment(&self, rank: u32, now: Seconds) -> Moment {
        let awake = Duration::from_secs_f64(1e6 + now);
        Moment {
            wall: Duration::from_secs_f64(1.79e9 + now + self.nodes[rank as usize].ahead),
            awake,
            passed: awake,
        }
    }
}

/// The same every time (xorshift64*).
struct Chance(u64);

impl Chance {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
