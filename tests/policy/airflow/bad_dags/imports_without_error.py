"""Does not load: the module is not there."""

from __future__ import annotations

import a_module_that_nobody_wrote

a_module_that_nobody_wrote.load()
