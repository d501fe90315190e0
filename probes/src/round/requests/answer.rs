//! The answer to one request of a walk. Of a layer a part is asked for, which the node's client never does: where that
//! fails, the whole is.

use tokio::time::Instant;

use super::Requests;
use crate::{
    client::containerd::{self, BodyEnd, Read, WalkReply},
    net::io_fault::IoFault,
    outcome::{Evidence, Fault},
    round::{
        walk_request::{self, Answered},
        walker::Heard,
    },
    stages::http::{download::Begun, fault::HttpFault},
    words::throughput::Throughput,
};

/// So much of a blob is read to see whether it is cut off as its part was, in bytes.
const MAX_WHOLE: u64 = 1024 * 1024;

impl Requests<'_> {
    /// Sends a request of a walk. An error of the registry that the client would print is on record as the
    /// stage's; what it only answers, as a challenge, is not one.
    pub(crate) async fn answer(
        &mut self,
        request: &containerd::WalkRequest,
        expected: bool,
    ) -> Heard {
        if request.read.start().is_none() || self.asks_for_the_whole {
            return self.ask_for_the_whole(request, expected).await;
        }
        match self.ask(request, true, expected).await {
            Ok(heard) => heard,
            // The client itself asks for no part.
            Err(PartFault::Refused) => self.ask_for_the_whole(request, expected).await,
            Err(PartFault::Cut) => {
                let whole = containerd::WalkRequest {
                    read: Read::Start(MAX_WHOLE),
                    ..request.clone()
                };
                // Boxed, because most walks have none.
                Box::pin(self.ask_for_the_whole(&whole, expected)).await
            }
        }
    }

    async fn ask_for_the_whole(
        &mut self,
        request: &containerd::WalkRequest,
        expected: bool,
    ) -> Heard {
        let asked = self.ask(request, false, expected).await;
        // Nothing else ends so but a part.
        asked.unwrap_or_else(|_| Heard::at_once(self.lost()))
    }

    /// Sends it until a connection is not stale.
    async fn ask(
        &mut self,
        request: &containerd::WalkRequest,
        for_a_part: bool,
        expected: bool,
    ) -> Result<Heard, PartFault> {
        let limit = self.answer_limit();
        let start = self.begin();
        let mut asked = start;
        let mut hung_up = false;
        let result = loop {
            let sent = match self.connection().await {
                Some(Ok(http)) => {
                    asked = Instant::now();
                    walk_request::send(http, request, for_a_part, limit).await
                }
                Some(Err(fault)) => Err(fault),
                None => return Ok(Heard::at_once(self.lost())),
            };
            if !self.asks_again() {
                break sent;
            }
            hung_up = true;
        };
        if for_a_part && let Some(fault) = PartFault::of(&result, request.read) {
            let is_challenge = matches!(&result, Ok(sent) if sent.response.status == 401);
            self.asks_for_the_whole |= !is_challenge;
            return Err(fault);
        }
        if self.is_cut_short(&result) {
            let endpoint = self.visit.endpoint;
            let why = format!("the round had no time left for {endpoint}");
            return Ok(Heard::at_once(WalkReply::NotSeen(why)));
        }
        let took = asked.elapsed();
        let mut begun = None;
        let (mut reply, result) = match result {
            Ok(sent) => {
                let (mut response, fault) = (sent.response, sent.fault);
                response.in_the_clear = self.in_the_clear;
                begun = sent.begun;
                let evidence = walk_request::evidence(request, &response, fault, expected);
                (WalkReply::Response(response), evidence)
            }
            Err(fault) => (
                WalkReply::Fault(walk_request::go_fault(
                    &Fault::Http(fault.clone()),
                    &self.visit.endpoint.host,
                )),
                Err(fault),
            ),
        };
        self.record(walk_request::stage_of(request.content), start, result);
        if let Some(recorded) = self
            .stages
            .last_mut()
            .filter(|_| !request.subject.is_empty())
        {
            recorded.subject = Some(request.subject.as_str().into());
        }
        match (request.read, begun) {
            (Read::Measured(throughput), Some(begun)) => {
                let measured = self.measure(throughput, begun).await;
                if let Err(fault) = measured {
                    if for_a_part {
                        self.asks_for_the_whole = true;
                        self.stages.pop();
                        return Err(PartFault::Cut);
                    }
                    if let WalkReply::Response(response) = &mut reply {
                        response.body.end = walk_request::cut(&fault);
                    }
                    self.blame(None, fault);
                }
            }
            (Read::Start(MAX_WHOLE), Some(_)) => {
                let subject = &request.subject;
                let why = format!("a part of {subject} is cut off, and the whole is large");
                reply = WalkReply::NotSeen(why);
            }
            _ => {}
        }
        Ok(Heard {
            reply,
            took,
            hung_up,
        })
    }

    /// Reads on in the blob that began to come, beyond the time of its stage.
    async fn measure(&mut self, throughput: Throughput, begun: Begun) -> Result<(), HttpFault> {
        let left = self.visit.deadlines.left(throughput.limit());
        let download = begun.measure(throughput, left).await?;
        let last = self.stages.last_mut().map(|stage| &mut stage.result);
        if let Some(Ok(Evidence::Blob(_, measured))) = last {
            *measured = download;
        }
        Ok(())
    }
}

/// How a request for a part of a blob fails, where one for the whole may not.
enum PartFault {
    /// With another answer, or without one.
    Refused,
    /// While the part came, so that the start of the whole proves nothing.
    Cut,
}

impl PartFault {
    /// Whether that is what came of it. One who is silent has had the client's time.
    fn of(sent: &Result<Answered, HttpFault>, read: Read) -> Option<Self> {
        match sent {
            Ok(sent) => match (sent.response.status, &sent.response.body) {
                (300..=399, _) => None,
                (200 | 206, body) if matches!(body.end, BodyEnd::Cut(_)) => Some(Self::Cut),
                (200 | 206, _) if sent.begun.is_some() => None,
                (200 | 206, body) if Some(body.bytes.len() as u64) >= read.start() => None,
                // Or it ended before all came that was asked for.
                _ => Some(Self::Refused),
            },
            Err(HttpFault::Io(IoFault::Timeout)) => None,
            Err(_) => Some(Self::Refused),
        }
    }
}
