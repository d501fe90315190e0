//! The tries of a pull: one for each credential that the kubelet would offer.

use std::sync::Arc;

use hyper::header::WWW_AUTHENTICATE;
use tokio::{sync::oneshot, time::Instant};

use super::{Lane, Order, Walker};
use crate::{
    client::{
        containerd::{self, Blame, Content, Pulled, Stop, WalkReply},
        credential::Credential,
        pull_hosts::PullHost,
    },
    net::inert,
    outcome::{Giver, Offer, OfferEnd, WalkEnd},
    round::{
        identity::IdentityAnswer,
        offers::{By, Try},
    },
    words::{endpoint::Role, reason::Stage},
};

impl Walker<'_> {
    /// A whole pull for each of `tries`, until one gets the image. The errors of all are one, as the kubelet joins
    /// them.
    pub(super) async fn pull(
        &mut self,
        image: &containerd::WantedImage<'_>,
        hosts: &[containerd::Host],
        tries: &[Try],
    ) -> (WalkEnd, Vec<Offer>) {
        let (mut offers, mut errors) = (Vec::new(), Vec::new());
        // How far the first try went that failed for more than want of another credential.
        let mut stopped: Option<usize> = None;
        for (n, (giver, credential)) in tries.iter().enumerate() {
            (self.refused, self.denied) = (None, false);
            (self.unauthorized, self.denied_at) = (None, None);
            let by = credential.clone();
            let pulled = containerd::pull(self, image, hosts, self.release, by).await;
            if let (Err(Stop::Failed(_)), Some(denied_at)) = (&pulled, self.denied_at) {
                // With the right credential, no pull would ask the hosts behind it.
                self.route.truncate(denied_at);
                self.denied = true;
            }
            // Whoever gives a manifest gives its blobs: another credential is not what is missing.
            self.denied &= self.route.iter().all(|asked| asked.stage != Stage::Blob);
            let end = self.end_of(&pulled, credential.as_ref());
            let of = giver.as_ref().map(|giver| match giver {
                Giver::Entry(key) => Giver::Entry(inert::excerpt(key.as_bytes())),
                Giver::Identity => Giver::Identity,
            });
            offers.extend(of.map(|of| Offer { of, end }));
            match pulled {
                Ok(Pulled {
                    manifest,
                    platform,
                    layers,
                }) => {
                    let end = WalkEnd::Pulled {
                        manifest,
                        platform,
                        layers,
                    };
                    return (end, offers);
                }
                Err(Stop::NotSeen(why)) => return (WalkEnd::NotSeen(why), offers),
                Err(Stop::NotFollowed(content, fault)) => {
                    let why = fault.to_string();
                    self.blame(Some(content), fault).await;
                    return (WalkEnd::NotSeen(why), offers);
                }
                Err(Stop::Failed(error)) => {
                    if !self.denied {
                        stopped = stopped.or(Some(self.route.len()));
                    }
                    if let Some(Blame { content, fault }) = error.blame
                        && (n + 1 == tries.len() || !self.denied)
                    {
                        self.blame(content, fault).await;
                    }
                    errors.push(error.text.as_deref().map(inert::message));
                }
            }
        }
        if let Some(stopped) = stopped {
            // The tries behind it do not say why.
            self.route.truncate(stopped);
        }
        let end = WalkEnd::Failed {
            error: joined(errors),
            denied: stopped.is_none(),
        };
        (end, offers)
    }

    /// Gets what the node's credential provider would give the kubelet, once for all images.
    pub(super) async fn ask_provider(&mut self) {
        if self.target.managed_identity.is_none() || !self.wallet.asks_provider() {
            return;
        }
        let answer = match self.held.get(Instant::now()) {
            Some(answer) => answer,
            None => {
                let answer = self.identify().await;
                self.held.hold(&answer, Instant::now());
                answer
            }
        };
        self.wallet.add(answer);
    }

    async fn identify(&self) -> IdentityAnswer {
        let is_login = |lane: &&Lane<'_>| lane.endpoint.role == Role::Login;
        let (sender, heard) = oneshot::channel();
        let sent = match self.lanes.iter().find(is_login) {
            Some(login) => login.orders.send(Order::Identify(sender)).await.is_ok(),
            None => false,
        };
        let over = || IdentityAnswer::NotSeen("the round is over".to_owned());
        match sent {
            true => heard.await.unwrap_or_else(|_| over()),
            false => over(),
        }
    }

    fn end_of(&mut self, pulled: &Result<Pulled, Stop>, by: Option<&Arc<Credential>>) -> OfferEnd {
        let refused = self.refused.take();
        match pulled {
            Ok(_) => OfferEnd::Pulled,
            Err(Stop::Failed(_)) if self.denied => match (by, refused) {
                (None, _) => OfferEnd::Empty,
                (Some(_), Some((Content::Token, said))) => OfferEnd::Refused(said),
                (Some(_), Some((_, said))) => OfferEnd::NotGiven(said),
                (Some(_), None) => OfferEnd::Other,
            },
            Err(_) => OfferEnd::Other,
        }
    }

    /// Notes that the client goes on to the host `next` although the registry itself, which it asked what a tag means,
    /// wants a credential, or a better one.
    pub(super) fn note_denial(&mut self, next: usize) {
        let before = self.unauthorized.filter(|before| *before != next);
        let before = before.and_then(|before| self.hosts.hosts.get(before));
        if !self.for_content && before.is_some_and(PullHost::is_registry) {
            self.denied_at = self.denied_at.or(Some(self.route.len()));
        }
    }

    /// Notes whether the answer for the host of this place is a denial. A 401 about content without a challenge is none: no
    /// credential can answer it.
    pub(super) fn note_status(
        &mut self,
        host: usize,
        content: Content,
        by: Option<By>,
        reply: &WalkReply,
    ) {
        let (status, is_challenge) = match reply {
            WalkReply::Response(response) => (
                Some(response.status),
                response.headers.contains_key(WWW_AUTHENTICATE),
            ),
            WalkReply::Fault(_) | WalkReply::NotSeen(_) => (None, false),
        };
        self.denied = match status {
            Some(401) => is_challenge || by.is_some() || content == Content::Token,
            status => status == Some(403),
        };
        self.unauthorized = (status == Some(401)).then_some(host);
    }

    /// Notes how the registry refuses a request for `content`, `by` a credential or the token for it.
    pub(super) fn note_refusal(&mut self, content: Content, by: Option<By>, reply: &WalkReply) {
        let (WalkReply::Response(response), Some(by)) = (reply, by) else {
            return;
        };
        let of = match by {
            By::Credential => Content::Token,
            By::Token => content,
        };
        self.refused = (response.status >= 400).then(|| (of, response.said.clone()));
    }
}

/// As the kubelet joins errors: each of them once; `None` where one is not known.
fn joined(errors: Vec<Option<String>>) -> Option<String> {
    let errors: Vec<_> = errors.into_iter().collect::<Option<_>>()?;
    let mut once: Vec<String> = Vec::with_capacity(errors.len());
    for error in errors {
        if !once.contains(&error) {
            once.push(error);
        }
    }
    match once.len() {
        1 => once.pop(),
        _ => Some(format!("[{}]", once.join(", "))),
    }
}
