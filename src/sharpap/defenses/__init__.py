"""Training so that fake users have less say: by leaving users out, by adding some, by a vote, or by another loss."""

from sharpap.defenses.apt import APT
from sharpap.defenses.bagging import Bagging
from sharpap.defenses.base import Defended, Defense
from sharpap.defenses.certificate import Certificate, certify
from sharpap.defenses.certified import CertifiedBagging, Votes
from sharpap.defenses.options import RCE, TCE, Regularised
from sharpap.defenses.remove import RemoveSuspicious

__all__ = [
    "APT", "RCE", "TCE", "Bagging", "Certificate", "CertifiedBagging", "Defended", "Defense", "Regularised", "RemoveSuspicious",
    "Votes", "certify",
]  # fmt: skip
