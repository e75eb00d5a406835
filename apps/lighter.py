"""Pages at half of their price: what Bokeh and Panel look up anew for each model of each page is looked up once.

A page has some 270 models of 60 properties each, and most of its processor time went into the same few questions about
their classes: which default a property has, whether it is made anew for each model, which files a page needs. The
answers are facts of a class. Nothing that a page shows depends on it: its document is the same, letter by letter (a
test compares them). Of another version of Bokeh or Panel than those that this was written for nothing is replaced, and
pages cost what they cost.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from copy import copy
from functools import cache
from typing import Any

import bokeh
import panel
from bokeh.core.has_props import HasProps
from bokeh.core.property.bases import ParameterizedProperty, Property
from bokeh.core.property.descriptors import PropertyDescriptor
from bokeh.core.property.singletons import Intrinsic, Undefined
from bokeh.core.property.wrappers import PropertyValueContainer
from bokeh.core.serialization import Serializer
from bokeh.model import Model, util
from bokeh.settings import settings
from panel.config import config
from panel.custom import ReactiveESM
from panel.io import document
from panel.io.resources import Resources
from panel.io.state import state
from panel.util import classproperty
from panel_material_ui.base import MaterialComponent
from panel_material_ui.theme import MaterialDesign

KNOWN = ("3.8.", "3.9.")
"""Versions of Bokeh whose functions are those that are replaced here."""
KNOWN_PANEL = "1.9."
"""The same of Panel."""
PLAIN = (type(None), bool, int, float, str)
"""Values that nobody can change, so that all may share them."""

_overridden: weakref.WeakKeyDictionary[type, dict[str, Any]] = weakref.WeakKeyDictionary()
_defaults: weakref.WeakKeyDictionary[type, dict[tuple, Any]] = weakref.WeakKeyDictionary()
_WORDS = "_physlab_words"
_files: dict[tuple, list[str]] = {}
_replaced: list[tuple[Any, str, Any]] = []


def lighten() -> bool:
    """Replace them, once; whether this is a version that it is written for."""
    if not bokeh.__version__.startswith(KNOWN) or not panel.__version__.startswith(KNOWN_PANEL):
        return False
    if not _replaced:
        settings.perform_document_validation.set_value(False)  # of documents that are tested
        settings.perform_error_diagnostics.set_value(False)
        for owner, name, function in (
            (HasProps, "__init__", begin),
            (HasProps, "_overridden_defaults", classmethod(overridden_defaults)),
            (HasProps, "query_properties_with_values", query_properties_with_values),
            (PropertyDescriptor, "has_unstable_default", has_unstable_default),
            (Property, "themed_default", themed_default),
            (ParameterizedProperty, "__str__", in_words),
            (util, "visit_immediate_value_references", visit_immediate_value_references),
            (HasProps, "themed_values", themed_values),
            (Serializer, "encode", encode),
            (Resources, "extra_resources", extra_resources),
            (document, "_garbage_collect", collected_elsewhere),
            (MaterialDesign, "_get_modifiers", classmethod(modifiers)),
            (ReactiveESM, "_component_resource_path", classmethod(component_path)),
            (MaterialComponent, "_bundle_css", classproperty(bundle_css)),
        ):
            _replaced.append((owner, name, vars(owner)[name]))
            setattr(owner, name, function)
    return True


def undo() -> None:
    """As they were."""
    while _replaced:
        setattr(*_replaced.pop())
    settings.perform_document_validation.unset_value()
    settings.perform_error_diagnostics.unset_value()


def _of(cache: weakref.WeakKeyDictionary, cls: type) -> dict:
    found = cache.get(cls)
    if found is None:
        found = cache[cls] = {}
    return found


def begin(self: HasProps, **properties: Any) -> None:
    """A model with its properties, and with those of its defaults that are made for it alone."""
    super(HasProps, self).__init__()
    values: tuple[dict[str, Any], ...] = ({}, {}, {})
    self._property_values, self._unstable_default_values, self._unstable_themed_values = values
    for name, value in properties.items():
        if value is not Undefined and value is not Intrinsic:
            setattr(self, name, value)
    for name, descriptor in _made_anew(type(self)):
        if name not in properties:
            descriptor._get(self)
    self._initialized = True


@cache
def _made_anew(cls: type[HasProps]) -> list[tuple[str, PropertyDescriptor]]:
    """Names and descriptors of the properties whose defaults are made for each model."""
    return [
        (name, descriptor)
        for name, descriptor in _described(cls)
        if isinstance(descriptor, PropertyDescriptor) and _unstable(descriptor, cls)  # type: ignore[arg-type]  # an object's class knows
    ]


def overridden_defaults(cls: type[HasProps]) -> dict[str, Any]:
    """Defaults that a class has other than its parents'."""
    found = _overridden.get(cls)
    if found is None:
        found = {}
        for parent in reversed(cls.__mro__):
            found.update(getattr(parent, "__overridden_defaults__", {}))
        _overridden[cls] = found
    return found


def has_unstable_default(self: PropertyDescriptor, obj: HasProps) -> bool:
    """Whether a default is made anew for each model."""
    return self.name in _names_anew(obj.__class__)


@cache
def _names_anew(cls: type[HasProps]) -> frozenset[str]:
    return frozenset(name for name, _ in _made_anew(cls))


def themed_default(
    self: Property, cls: type[HasProps], name: str, theme_overrides: dict[str, Any] | None, *, no_eval: bool = False
) -> Any:
    """The default of a class, which is worked out once if nobody can change it."""
    if no_eval or (theme_overrides is not None and name in theme_overrides):
        return _themed_default(self, cls, name, theme_overrides, no_eval=no_eval)
    known = _of(_defaults, cls)
    key = (name, id(self))
    if key not in known:
        value = _themed_default(self, cls, name, theme_overrides)
        default = cls._overridden_defaults().get(name, self._default)
        if callable(default) or type(value) not in PLAIN:
            return value
        known[key] = value
    return known[key]


def in_words(self: ParameterizedProperty) -> str:
    """What a property takes, as errors say it, also those of the alternatives that are tried in turn."""
    known = vars(self)
    if _WORDS not in known:
        known[_WORDS] = _in_words(self)
    return known[_WORDS]


def themed_values(self: HasProps) -> dict[str, Any] | None:
    """What a theme gives a model; most have nothing, which is no reason for an error that is caught."""
    return vars(self).get("__themed_values__")


def query_properties_with_values(
    self: HasProps, query: Callable[[PropertyDescriptor], bool], *, include_defaults: bool = True,
    include_undefined: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Values of properties; without defaults only those that are set are looked at."""
    if include_defaults or include_undefined:
        return _query(self, query, include_defaults=include_defaults, include_undefined=include_undefined)
    themed, unstable = self.themed_values() or {}, self._unstable_default_values
    result = {}
    for name, descriptor in _described(type(self)):
        if not (name in self._property_values or name in unstable or name in themed) or not query(descriptor):
            continue
        value = descriptor.get_value(self)
        if name in themed or name not in unstable or not isinstance(value, PropertyValueContainer):
            result[name] = value
    return result


@cache
def _described(cls: type[HasProps]) -> tuple[tuple[str, PropertyDescriptor], ...]:
    return tuple((name, cls.lookup(name)) for name in cls.properties(_with_props=True))


def visit_immediate_value_references(value: Any, visitor: Callable[[Model], None]) -> None:
    """Models that a model refers to; a default that all share refers to none."""
    if not isinstance(value, HasProps):
        util.visit_value_and_its_immediate_references(value, visitor)
        return
    there, unstable, themed = value._property_values, value._unstable_default_values, value.themed_values() or {}
    for name in value.properties_with_refs():
        if name in there or name in unstable or name in themed:
            util.visit_value_and_its_immediate_references(getattr(value, name), visitor)


def encode(self: Serializer, obj: Any) -> Any:
    """JSON of a value; of words it is the words."""
    return obj if obj is None or type(obj) is str else _encode(self, obj)


def extra_resources(self: Resources, resources: list[str], resource_type: str) -> None:
    """Files that components of pages need, looked up when there are other components than last time."""
    key = (resource_type, self.mode, state.rel_path, len(Model.model_class_reverse_map), tuple(resources))
    if key not in _files:
        found = list(resources)
        _extra(self, found, resource_type)
        _files[key] = found[len(resources) :]
    resources.extend(_files[key])


def collected_elsewhere() -> None:
    """Panel collects on the event loop after each page that is closed; `apps.workers.Tidy` does so beside it."""


def modifiers(cls: type, viewable: Any, theme: Any, isolated: bool | None = None) -> tuple[dict, dict]:
    """Style sheets of a component and of its children, whose files are looked for once."""
    served = bool(state.curdoc.session_context) if state.curdoc else False
    own = hasattr(viewable, "_esm_base")
    key = (
        cls,
        type(viewable),
        theme if isinstance(theme, type) else type(theme),
        own,
        isolated,
        served,
        state.rel_path,
    )
    if key not in _looks:
        _looks[key] = _modifiers(cls, viewable, theme, isolated)
    return tuple({k: _copied(v) for k, v in part.items()} for part in _looks[key])  # type: ignore[return-value]


def _copied(value: Any) -> Any:
    return copy(value) if isinstance(value, list | dict) else value


def component_path(cls: type, esm_path: Any, compiled: Any) -> str:
    """Address of the code of a component."""
    key = (cls, str(esm_path), compiled, state.rel_path)
    if key not in _paths:
        _paths[key] = _component_path(cls, esm_path, compiled)
    return _paths[key]


def bundle_css(cls: type) -> list[str]:
    """Style sheets of the bundle of a component."""
    key = (cls, config.autoreload, state.rel_path)
    if key not in _sheets:
        _sheets[key] = _bundle_css(cls)
    return list(_sheets[key])


_looks: dict[tuple, tuple[dict, dict]] = {}
_paths: dict[tuple, str] = {}
_sheets: dict[tuple, list[str]] = {}
_modifiers: Callable = vars(MaterialDesign)["_get_modifiers"].__func__
_component_path: Callable = vars(ReactiveESM)["_component_resource_path"].__func__
_bundle_css: Callable = vars(MaterialComponent)["_bundle_css"].f
_themed_default, _query = Property.themed_default, HasProps.query_properties_with_values
_unstable = PropertyDescriptor.has_unstable_default
_in_words = ParameterizedProperty.__str__
_encode, _extra = Serializer.encode, Resources.extra_resources
