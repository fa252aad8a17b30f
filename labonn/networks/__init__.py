"""Networks: the electronic teacher, the digital backend, and the student that is frontend and backend."""

from labonn.networks.backend import make_backend, split_backend
from labonn.networks.hidden import hidden_and_logits
from labonn.networks.student import Student
from labonn.networks.teacher import make_teacher

__all__ = ["Student", "hidden_and_logits", "make_backend", "make_teacher", "split_backend"]
