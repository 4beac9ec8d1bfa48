"""Named training configurations; a preset is a function that returns one."""

from collections.abc import Callable

from ccfpse.training.config import (
    DataSettings,
    GeneratorSettings,
    LossSettings,
    OptimiserSettings,
    TrainConfig,
)


def coco() -> TrainConfig:
    """COCO-Stuff as in the paper: 256², instances, 200 epochs of 118k photos at batch 32."""
    return TrainConfig(images=200 * 118_287, batch=32)


def ade20k() -> TrainConfig:
    """ADE20K as in the paper: 256², no instances, 200 epochs of 20k photos at batch 32."""
    return TrainConfig(data=DataSettings(instances=False), images=200 * 20_210, batch=32)


def cityscapes() -> TrainConfig:
    """Cityscapes as in the paper: 512 wide, 256 high, deep, 200 epochs of 2,975 photos at batch 16."""
    return TrainConfig(
        data=DataSettings(size=(256, 512), load_size=None),
        generator=GeneratorSettings(upsamplings=6),
        images=200 * 2_975,
        batch=16,
    )


def facades() -> TrainConfig:
    """The bundled model's recipe: 128², narrow, for a few hundred photos and a laptop's CPU."""
    return TrainConfig(
        data=DataSettings(size=(128, 128), load_size=(144, 144)),
        generator=GeneratorSettings(width=24, style_dim=64, predictor_width=32, predictor_kernel=1),
        discriminator_width=32,
        encoder_width=16,
        loss=LossSettings(kl=0.02),
        optimiser=OptimiserSettings(
            lr_generator=3e-4, lr_discriminator=3e-4, beta2=0.99, ema_half_life=1_000
        ),
        images=12_000,
        save_every=400,
        sample_every=400,
    )


PRESETS: dict[str, Callable[[], TrainConfig]] = {
    preset.__name__: preset for preset in (coco, ade20k, cityscapes, facades)
}
