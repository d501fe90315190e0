//! Nodes, a nameserver and a registry in virtual time. The agent's own [`Timetable`] and [`Census`]
//! decide what a node does. The simulation decides which nodes are up and what the nameserver answers,
//! and counts the requests.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use regprobe::{
    config::Config,
    schedule::{
        clock::Moment,
        fleet::{self, Census, Count},
        pace::Intervals,
        timetable::Timetable,
        walks::Walks,
    },
};
use regprobe_probes::Depth;

use crate::story::{Answers, EVENT, Seconds, Story};

/// Requests a minute, as configured by default.
pub(crate) const BUDGET: u32 = 1000;
/// Addresses in one DNS message.
const MOST_ADDRESSES: u32 = 4090;
/// From the start of a node to the answer to its first question.
const QUESTION: Seconds = 0.005;
/// Clocks differ by up to this much, although NTP sets them.
const CLOCKS: Seconds = 1.0;
const REGISTRY: &str = "contoso.azurecr.io";

/// A fleet to simulate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fleet {
    /// How many nodes it has at most.
    pub(crate) size: u32,
    /// Requests a minute that it may send to one registry.
    pub(crate) budget: u32,
    /// How many images of that registry are configured.
    pub(crate) images: usize,
    /// How many layers each has.
    pub(crate) layers: usize,
    /// The number of the draw. It decides names, addresses and clocks, and when each node starts.
    pub(crate) draw: u64,
}

impl Fleet {
    /// With the default configuration.
    pub(crate) fn of(size: u32) -> Self {
        Self {
            size,
            budget: BUDGET,
            images: 0,
            layers: 1,
            draw: 0,
        }
    }

    /// Its walks, as far as they are known before the first.
    fn walks(self) -> Walks {
        Walks::of(self.images)
    }

    /// For a fleet that does not fit into an answer the operator configures the size.
    fn is_counted(self) -> bool {
        self.size <= MOST_ADDRESSES
    }

    fn config(self) -> Config {
        let size = match self.is_counted() {
            true => "auto".to_owned(),
            false => self.size.to_string(),
        };
        let text = format!(
            "registries: [{{server: {REGISTRY}}}]\n\
             fleet: {{size: {size}, service: regprobe.kube-system.svc.cluster.local, \
             requests_per_minute: {}}}\n",
            self.budget
        );
        Config::parse(&text).expect("the text is ours")
    }
}

/// What the registry saw.
pub(crate) struct Seen {
    /// When there were requests, in order.
    pub(crate) requests: Vec<Seconds>,
    pub(crate) end: Seconds,
    /// The longest that a node sent no request, in the longest interval that it stated meanwhile.
    pub(crate) longest_gap: f64,
    /// The same in seconds.
    pub(crate) unprobed: Seconds,
    /// The longest from when a node saw a change to its next full round.
    pub(crate) unwalked: Seconds,
}

/// Lives through a story.
pub(crate) fn simulate(story: Story, fleet: Fleet) -> Seen {
    let mut world = World::new(story, fleet);
    while let Some(Reverse((at, node, what))) = world.events.pop() {
        let now = at as f64 / 1e6;
        if now >= world.seen.end {
            break;
        }
        match what {
            What::Starts => world.start(node, now),
            What::Ends => world.end(node, now),
            What::Asks(life) => world.ask(node, life, now),
            What::Probes(plan) => world.probe(node, plan, now),
        }
    }
    world.seen.requests.sort_by(f64::total_cmp);
    world.seen
}

/// What happens to a node, in the order in which it happens at the same time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Ends,
    Starts,
    /// With the number of its life.
    Asks(u32),
    /// With the number of its plan.
    Probes(u32),
}

struct World {
    story: Story,
    fleet: Fleet,
    config: Config,
    intervals: Intervals,
    nodes: Vec<Node>,
    /// The places of the nodes that are up, in order, since when. The last is now.
    up: Vec<(Seconds, Vec<u32>)>,
    events: BinaryHeap<Reverse<(u64, u32, What)>>,
    seen: Seen,
}

struct Node {
    /// In place of its name.
    number: u64,
    /// Its clock is this much ahead.
    ahead: Seconds,
    /// Where it is in the order of all addresses.
    place: u32,
    life: u32,
    plan: u32,
    up: Option<(Census, Timetable)>,
    /// What it knows of the fleet.
    known: Option<fleet::Fleet>,
    /// When it last sent a request, or started.
    last: Seconds,
    /// The interval that it states, and the longest that it has stated since.
    interval: Seconds,
    stated: Seconds,
    has_asked: bool,
    walks: Walks,
    /// The way to the registry as it last saw it, and since when that is to be walked.
    way: u32,
    changed: Option<Seconds>,
}

impl World {
    fn new(story: Story, fleet: Fleet) -> Self {
        let mut chance =
            Chance(0x2545_f491_4f6c_dd1d ^ fleet.draw.wrapping_mul(0xd1b5_4a32_d192_ed03));
        let mut places: Vec<_> = (0..fleet.size).collect();
        places.sort_by_cached_key(|_| chance.next().to_bits());
        let config = fleet.config();
        let mut world = Self {
            story,
            fleet,
            intervals: Intervals::from(&config.schedule),
            config,
            nodes: Vec::new(),
            up: vec![(0.0, Vec::new())],
            events: BinaryHeap::new(),
            seen: Seen {
                requests: Vec::new(),
                end: 0.0,
                longest_gap: 0.0,
                unprobed: 0.0,
                unwalked: 0.0,
            },
        };
        for (rank, place) in (0..).zip(places) {
            world.nodes.push(Node {
                number: chance.next().to_bits(),
                ahead: chance.next() * CLOCKS,
                place,
                life: 0,
                plan: 0,
                up: None,
                known: None,
                last: 0.0,
                interval: 0.0,
                stated: 0.0,
                has_asked: false,
                walks: fleet.walks(),
                way: 0,
                changed: None,
            });
            for (from, until) in story.lives(rank, fleet.size, chance.next()) {
                world.at(from, rank, What::Starts);
                if until.is_finite() {
                    world.at(until, rank, What::Ends);
                }
            }
        }
        let census = Census::start(world.config.fleet.clone(), 0, Moment::default());
        let pace = census.fleet().pace(&world.intervals, fleet.walks());
        let longest = pace.interval(Depth::Request).as_secs_f64();
        world.seen.end = EVENT + story.length().max(3.0 * longest);
        world
    }

    fn at(&mut self, time: Seconds, node: u32, what: What) {
        self.events.push(Reverse(((time * 1e6) as u64, node, what)));
    }

    fn start(&mut self, rank: u32, now: Seconds) {
        let moment = self.moment(rank, now);
        let walks = self.fleet.walks();
        let node = &mut self.nodes[rank as usize];
        let census = Census::start(self.config.fleet.clone(), node.number, moment);
        let fleet = census.fleet();
        let pace = fleet.pace(&self.intervals, walks);
        let turns = fleet.turns(&self.intervals, walks, REGISTRY, 0);
        let timetable = Timetable::start(moment, turns, Depth::Network);
        node.life += 1;
        node.up = Some((census, timetable));
        node.known = Some(fleet);
        node.interval = pace.interval(Depth::Request).as_secs_f64();
        (node.last, node.stated, node.has_asked) = (now, node.interval, false);
        (node.way, node.changed) = (self.story.way(now), None);
        node.walks = walks;
        let (place, life) = (node.place, node.life);
        self.plan(rank);
        if self.fleet.is_counted() {
            self.list(now, |up| {
                up.insert(up.partition_point(|other| *other < place), place)
            });
            self.at(now + QUESTION, rank, What::Asks(life));
        }
    }

    fn end(&mut self, rank: u32, now: Seconds) {
        let node = &mut self.nodes[rank as usize];
        node.life += 1;
        node.up = None;
        let place = node.place;
        self.list(now, |up| up.retain(|other| *other != place));
    }

    /// Asks for the size of the fleet.
    fn ask(&mut self, rank: u32, life: u32, now: Seconds) {
        let answer = self.answer(rank, now);
        let moment = self.moment(rank, now);
        let node = &mut self.nodes[rank as usize];
        let Some((census, timetable)) = node.up.as_mut().filter(|_| node.life == life) else {
            return;
        };
        match answer {
            Some(count) => census.hear(moment, count),
            None => census.miss(),
        }
        let fleet = census.fleet();
        let wait = census.wait(moment).as_secs_f64();
        // Nobody sees what it states before its first answer.
        let has_stated = std::mem::replace(&mut node.has_asked, true);
        if node.known.replace(fleet) != Some(fleet) {
            let pace = fleet.pace(&self.intervals, node.walks);
            let turns = fleet.turns(&self.intervals, node.walks, REGISTRY, 0);
            timetable.adopt(moment, turns);
            node.interval = pace.interval(Depth::Request).as_secs_f64();
            node.stated = match has_stated {
                true => node.interval.max(node.stated),
                false => node.interval,
            };
            self.plan(rank);
        }
        self.at(now + wait, rank, What::Asks(life));
    }

    /// Plans its next round.
    fn plan(&mut self, rank: u32) {
        let node = &mut self.nodes[rank as usize];
        if let Some((_, timetable)) = &node.up {
            node.plan += 1;
            // Timers are late, never early. `awake` counts from 1,000,000 at the beginning.
            let due = timetable.due().as_secs_f64() - 1e6 + 0.001;
            let what = What::Probes(node.plan);
            self.at(due, rank, what);
        }
    }

    fn probe(&mut self, rank: u32, plan: u32, now: Seconds) {
        let moment = self.moment(rank, now);
        let node = &mut self.nodes[rank as usize];
        let Some((census, timetable)) = node.up.as_mut().filter(|_| node.plan == plan) else {
            return;
        };
        let depth = timetable.take(moment).depth;
        let way = self.story.way(now);
        if depth == Depth::Image
            && let Some(since) = node.changed.take()
        {
            self.seen.unwalked = self.seen.unwalked.max(now - since);
        }
        if std::mem::replace(&mut node.way, way) != way && depth < Depth::Image {
            timetable.hasten(moment);
            node.changed.get_or_insert(now);
        }
        let gap = now - node.last;
        self.seen.longest_gap = self.seen.longest_gap.max(gap / node.stated);
        self.seen.unprobed = self.seen.unprobed.max(gap);
        let known = node.walks;
        let requests = match depth {
            Depth::Network => 0,
            Depth::Request => 1,
            Depth::Token => 2,
            Depth::Image => {
                node.walks = known.with_layers(self.fleet.layers);
                2 + known.requests() as usize
            }
        };
        if node.walks != known {
            let fleet = census.fleet();
            let turns = fleet.turns(&self.intervals, node.walks, REGISTRY, 0);
            node.interval = turns.pace.interval(Depth::Request).as_secs_f64();
            timetable.adopt(moment, turns);
            timetable.hasten(moment);
        }
        if requests > 0 {
            (node.last, node.stated) = (now, node.interval);
        }
        if !self.story.is_cut(now) {
            self.seen.requests.extend((0..requests).map(|_| now));
        }
        self.plan(rank);
    }

    fn list(&mut self, now: Seconds, change: impl FnOnce(&mut Vec<u32>)) {
        let (_, last) = self.up.last().expect("there is a first");
        let mut up = last.clone();
        change(&mut up);
        // No answer is older than this.
        while self
            .up
            .get(1)
            .is_some_and(|(since, _)| *since < now - 120.0)
        {
            self.up.remove(0);
        }
        // Changes within one second count as one.
        match self.up.last_mut() {
            Some((since, last)) if *since > now - 1.0 => *last = up,
            _ => self.up.push((now, up)),
        }
    }

    fn answer(&self, rank: u32, now: Seconds) -> Option<Count> {
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
        let (_, up) = known.or_else(|| self.up.first())?;
        let size = self.fleet.size;
        let is_listed = |place: &u32| match answers {
            Answers::True | Answers::Late(_) => true,
            Answers::Half => place.is_multiple_of(2),
            Answers::LowerHalf => *place < size / 2,
            Answers::None => false,
        };
        let place = self.nodes[rank as usize].place;
        let listed = |places: &[u32]| match answers {
            Answers::True | Answers::Late(_) => places.len() as u32,
            _ => places.iter().filter(|place| is_listed(place)).count() as u32,
        };
        let own = up.binary_search(&place).ok().filter(|_| is_listed(&place));
        let (agents, rank) = (listed(up), own.map(|own| listed(&up[..own])));
        (agents > 0).then_some(Count {
            agents: agents.min(MOST_ADDRESSES),
            rank,
            is_cut: agents > MOST_ADDRESSES,
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
