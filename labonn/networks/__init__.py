"""Networks: the electronic teacher, the digital backend, and the student that is frontend and backend."""

from labonn.networks.backend import make_backend
from labonn.networks.student import Student
from labonn.networks.teacher import make_teacher

__all__ = ["Student", "make_backend", "make_teacher"]
