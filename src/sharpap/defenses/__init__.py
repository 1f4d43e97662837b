"""Training so that fake users have less say: without some users, with more, by a vote, another loss or a perturbed model."""

from sharpap.defenses.adversarial import APR, VAT
from sharpap.defenses.apt import APT
from sharpap.defenses.bagging import Bagging
from sharpap.defenses.base import Defended, Defense
from sharpap.defenses.certificate import Certificate, certify
from sharpap.defenses.certified import CertifiedBagging, Votes
from sharpap.defenses.flat import ASAM, AWP, SAM
from sharpap.defenses.options import RCE, TCE, Regularised
from sharpap.defenses.remove import RemoveSuspicious

__all__ = [
    "APR", "APT", "ASAM", "AWP", "RCE", "SAM", "TCE", "VAT", "Bagging", "Certificate", "CertifiedBagging", "Defended",
    "Defense", "Regularised", "RemoveSuspicious", "Votes", "certify",
]  # fmt: skip
