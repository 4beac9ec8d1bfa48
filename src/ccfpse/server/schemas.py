"""The JSON answers."""

from pydantic import BaseModel, Field


class Model(BaseModel):
    """What a client must know of a model before it asks for photos."""

    name: str
    classes: int
    height: int = Field(description="height it was trained at, the best one")
    width: int = Field(description="width it was trained at, the best one")
    size_multiple: int = Field(description="height and width must be multiples of this")
    style_dim: int = Field(description="length of a style vector; 0: one photo per layout")
    uses_instances: bool
    encodes_style: bool = Field(description="takes a reference photo for its style")
    attribution: str


class PublicLimits(BaseModel):
    """What one request may ask for."""

    body_bytes: int
    layout_pixels: int
    photo_pixels: int
    images: int
    total_pixels: int


class Models(BaseModel):
    """The models served, the default one first."""

    models: list[Model]
    limits: PublicLimits


class Classes(BaseModel):
    """A label space: the content of a classes.json."""

    names: list[str]
    colors: list[list[int]]
    ignore: int | None = Field(description="id of pixels without a class")


class Styles(BaseModel):
    """Style vectors, one per photo."""

    styles: list[list[float]]


class Layouts(BaseModel):
    """Names of bundled layouts."""

    layouts: list[str]


class Health(BaseModel):
    """The server is up."""

    status: str
    pending: int
    waiting_limit: int
