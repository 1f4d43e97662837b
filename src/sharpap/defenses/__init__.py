"""Training so that fake users have less say: by leaving users out, or by a vote of models."""

from sharpap.defenses.bagging import Bagging
from sharpap.defenses.base import Defended, Defense
from sharpap.defenses.certificate import Certificate, certify
from sharpap.defenses.certified import CertifiedBagging, Votes
from sharpap.defenses.remove import RemoveSuspicious

__all__ = ["Bagging", "Certificate", "CertifiedBagging", "Defended", "Defense", "RemoveSuspicious", "Votes", "certify"]
