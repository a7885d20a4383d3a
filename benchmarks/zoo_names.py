"""The networks of the zoo: every classifier of torchvision, and one of each of timm's families.

A family is a file of timm's; efficientnet.py and byobnet.py hold several, of which more stand here.
Of each it is a small network, of at most 100 million parameters.
"""

from slimline.networks.known_names import TORCHVISION

WITH_ATTENTION = ("maxvit", "swin", "vit")
"""How the names of torchvision's networks with attention begin."""

_TIMM = """
bat_resnext26ts beit_base_patch16_224 botnet26t_256 cait_xxs24_224 coat_lite_tiny convit_tiny
convmixer_768_32 convnext_atto convnextv2_atto cpubone_nano crossvit_9_240 csatv2
cs3darknet_s cspnext_tiny davit_tiny deit_tiny_distilled_patch16_224 densenet121
dla34 dpn48b eca_halonext26ts edgenext_xx_small efficientformer_l1 efficientformerv2_s0
efficientnet_b0 efficientvim_m1 efficientvit_b0 efficientvit_m0 eva02_tiny_patch14_224
fasternet_t0 fastvit_t8 fbnetc_100 focalnet_tiny_srf gcvit_xxtiny gernet_s ghostnet_050
ghostnetv2_100 gmlp_ti16_224 hardcorenas_a hgnetv2_b0 hiera_tiny_224 hieradet_small
hrnet_w18_small iformer_t inception_next_atto inception_resnet_v2 inception_v3 inception_v4
lcnet_050 lcnetv2_small legacy_seresnet18 legacy_xception levit_128s lowformer_b0 mambaout_femto
maxvit_rmlp_pico_rw_256 mixer_s32_224 mixnet_s mnasnet_small mobilenetv3_small_050
mobilenetv4_conv_small mobilenetv4_hybrid_medium mobileone_s0 mobilevit_xxs mobilevitv2_050
mvitv2_tiny nasnetalarge nest_tiny nextvit_small nf_regnet_b0 pit_ti_224 pnasnet5large
poolformer_s12 pvt_v2_b0 qwen3_vit_88m rdnet_tiny regnetx_002 regnety_002 repghostnet_050
repvgg_a0 repvit_m0_9 res2net50_14w_8s resmlp_12_224 resnest14d resnet18 resnetv2_18 rexnet_100
selecsls42 semnasnet_050 sequencer2d_s shvit_s1 skresnet18 spnasnet_100 starnet_s050
swiftformer_xs swin_tiny_patch4_window7_224 swinv2_cr_tiny_224 swinv2_tiny_window8_256
tf_efficientnetv2_b0 tinynet_e tiny_vit_5m_224 tnt_s_patch16_224 tresnet_m twins_svt_small vgg11_bn
visformer_tiny vit_relpos_small_patch16_224 vit_tiny_patch16_224 vit_tiny_r_s16_p8_224
vitamin_small_224 volo_d1_224 vovnet39a xception41 xcit_nano_12_p16_224
"""

NAMES = (
    *(f"torchvision:{name}" for name in sorted(TORCHVISION)),
    *(f"timm:{name}" for name in _TIMM.split()),
)
"""As `backbone` in params.yaml takes them."""
