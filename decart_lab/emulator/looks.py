"""The looks: rows of a name, the words that ask for it, and a libavfilter graph that paints it.

A new look is one row of ``LOOKS``. The same row serves pictures, clips and live frames. The
notation, with its placeholders, is that of :mod:`.filtergraph`; frames are yuv420p in video range
(luma 16 to 235). PyAV's wheels carry none of the GPL filters (no ``eq``), and filters that work in
YUV cost a tenth of those that work in RGB, so the rows keep to the former.

A generated still (``trim=end_frame=1``) is computed once per clip and repeated by ``blend``; a
generated layer that never ends (``loop``) needs a ``blend`` with ``shortest=1``, or it would
outlive its clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Stage = Literal["medium", "light", "weather"]


@dataclass(frozen=True, slots=True)
class Look:
    """One way to repaint a frame.

    Attributes
    ----------
    name : str
        What the look is called.
    words : tuple of str
        Words and phrases of a prompt that ask for it, in lower case; simple endings are allowed
        for by the reader (``snow`` also matches ``snowy`` and ``snowing``).
    graph : str
        The libavfilter graph, with placeholders.
    stage : {"medium", "light", "weather"}
        Looks that blend are applied in this order, so that it snows on the ink and not under it.
    """

    name: str
    words: tuple[str, ...]
    graph: str
    stage: Stage = "medium"


def _lines(fine: float, coarse: float, gain: float, level: int = 126) -> str:
    """Write dark lines on white, where the picture has edges: a difference of two blurs."""
    return (
        f"split[l1][l2];[l1]gblur={{{fine}u}}[l3];[l2]gblur={{{coarse}u}}[l4];"
        f"[l3][l4]blend=all_mode=grainextract,"
        f"lutyuv=y='clip((val-{level})*{gain}+235,16,235)':u=128:v=128"
    )


def _texture(strength: int, blur: float, extra: str = "") -> str:
    """Write a still grain, mid grey on average, for ``grainmerge``."""
    return (
        f"color=c=gray:s={{w}}x{{h}}:r=1,trim=end_frame=1,format=yuv420p,"
        f"noise=c0s={strength}:all_seed={{seed}},gblur={{{blur}u}}{extra},lutyuv=u=128:v=128"
    )


def _screen(expression: str) -> str:
    """Write a still pattern, drawn by an expression of X and Y."""
    return (
        "color=c=gray:s={w}x{h}:r=1,trim=end_frame=1,format=yuv420p,"
        f"geq=lum='{expression}':cb=128:cr=128"
    )


def _ramp(place: str, start: tuple[int, int, int], end: tuple[int, int, int]) -> str:
    """Write a still that runs from one colour to another along ``X/W`` or ``Y/H``."""
    red, green, blue = (f"{a}+{b - a}*{place}" for a, b in zip(start, end, strict=True))
    return (
        "color=c=gray:s={w}x{h}:r=1,trim=end_frame=1,format=gbrp,"
        f"geq=r='{red}':g='{green}':b='{blue}'"
    )


def _flakes(size: float, threshold: int, fall: str, drift: str) -> str:
    """Write white specks on black that fall; the noise is drawn once and scrolled."""
    return (
        f"color=c=gray:s={{w}}x{{h}}:r={{fps}},trim=end_frame=1,format=yuv420p,"
        f"noise=c0s=100:all_seed={{seed}},gblur={{{size}u}},"
        f"lutyuv=y='clip((val-{threshold})*40,16,235)':u=128:v=128,"
        f"gblur={{0.7u}},loop=loop=-1:size=1,scroll=v=-{fall}:h={drift}"
    )


LOOKS: Final[tuple[Look, ...]] = (
    Look(
        "ink",
        (
            "ink",
            "ink drawing",
            "ink sketch",
            "sumi-e",
            "sumi",
            "calligraphy",
            "brush drawing",
            "brushwork",
        ),
        f"split[a][b];[a]{_lines(1.1, 4.5, 22)}[line];"
        "[b]scale={w}/4:{h}/4,median=radius=3,scale={w}:{h}:flags=bicubic,"
        "lutyuv=y='if(gt(val,128),226,if(gt(val,80),206,if(gt(val,46),150,84)))'"
        ":u=128:v=128,gblur={2.6u}[wash];"
        "[line][wash]blend=c0_mode=darken[drawn];"
        f"{_texture(40, 1.6)}[paper];"
        "[drawn][paper]blend=c0_mode=grainmerge,"
        "lutyuv=y='clip(val,16,235)':u=124:v=131",
    ),
    Look(
        "watercolour",
        ("watercolour", "watercolor", "aquarelle", "gouache", "wash painting"),
        "scale={w}/2:{h}/2,bilateral=sigmaS=4:sigmaR=0.16,median=radius=3:planes=1,"
        "scale={w}:{h},split[a][b];"
        "[a]lutyuv=y='clip(16+219*pow(max(val-16,0)/219,0.58)*0.88+30,16,235)'"
        ":u='128+(val-128)*1.35':v='128+(val-128)*1.35',hue=h={-5~5}[wash];"
        f"[b]{_lines(1.2, 5, 5)},gblur={{0.8u}}[line];"
        "[line][wash]blend=c0_mode=multiply:c0_opacity=0.8:c1_opacity=0:c2_opacity=0[drawn];"
        f"{_texture(38, 2.2)}[paper];"
        "[drawn][paper]blend=c0_mode=grainmerge",
    ),
    Look(
        "anime",
        (
            "anime",
            "manga",
            "cel shaded",
            "cel-shaded",
            "cartoon",
            "ghibli",
            "posterise",
            "posterize",
        ),
        "scale={w}/2:{h}/2,bilateral=sigmaS=4:sigmaR=0.13,scale={w}:{h},split[a][b];"
        "[a]lutyuv=y='clip(floor((val-16)/32)*40+30,16,235)':u='128+(val-128)*1.9'"
        ":v='128+(val-128)*1.9',gblur={0.6u}[flat];"
        f"[b]{_lines(0.9, 2.6, 30, 124)}[line];"
        "[line][flat]blend=c0_mode=darken:c1_opacity=0:c2_opacity=0",
    ),
    Look(
        "noir",
        ("noir", "black and white", "black-and-white", "monochrome", "film noir"),
        "lutyuv=y='clip(16+219/(1+exp(-9*((val-16)/219-0.46))),16,235)':u=128:v=128,"
        "vignette=angle=PI/3.6,noise=c0s=12:c0f=t:all_seed={seed},lutyuv=u=128:v=128",
    ),
    Look(
        "sepia",
        ("sepia", "daguerreotype", "victorian photograph", "old photograph", "tintype"),
        "lutyuv=y='clip(30+(val-16)*0.9,16,235)':u=104:v=148,vignette=angle=PI/5,"
        "noise=c0s=6:c0f=t:all_seed={seed}",
    ),
    Look(
        "neon",
        ("neon", "glow lines", "tron", "synthwave", "vaporwave", "blacklight"),
        "gblur={1.4u},split[a][b];"
        "[a]sobel=planes=1:scale=1.5,lutyuv=y='clip((val-14)*2.2+16,16,235)',split[e][g];"
        "[g]gblur={7u}[glow];[e][glow]blend=c0_mode=screen:c1_opacity=0:c2_opacity=0[edges];"
        "[b]gblur={14u},lutyuv=y='16+(val-16)*0.16'[dim];"
        "[edges][dim]blend=c0_mode=screen:c1_opacity=0:c2_opacity=0,lutyuv=u=128:v=128,"
        "format=gbrp[lit];"
        f"{_ramp('X/W', (255, 40, 216), (24, 224, 255))}[hues];"
        "[lit][hues]blend=all_mode=multiply",
    ),
    Look(
        "pixel art",
        ("pixel art", "pixel", "8-bit", "8 bit", "16-bit", "retro game", "voxel"),
        "pixelize=w={16px}:h={16px},lutyuv=y='clip(floor((val-8)/30)*34+22,16,235)'"
        ":u='clip(128+floor(((val-128)*1.6+10)/20)*20,16,240)'"
        ":v='clip(128+floor(((val-128)*1.6+10)/20)*20,16,240)'",
    ),
    Look(
        "snow",
        ("snow", "snowfall", "snowstorm", "blizzard", "winter", "christmas"),
        "lutyuv=y='clip(60+(val-16)*0.72,16,235)':u='136+(val-128)*0.45':v='122+(val-128)*0.45'[cold];"
        f"{_flakes(1.5, 146, '0.009', '0.001')}[near];"
        "[cold][near]blend=c0_mode=screen:shortest=1[one];"
        f"{_flakes(3.1, 138, '0.016', '0.003')}[far];"
        "[one][far]blend=c0_mode=screen:shortest=1",
        "weather",
    ),
    Look(
        "sunset",
        ("sunset", "golden hour", "sundown", "dusk", "sunrise", "evening glow"),
        "lutyuv=y='clip(16+219*pow(max(val-16,0)/219,1.12)*1.02,16,235)',"
        "colorcorrect=rl=0.02:bl=0.12:rh=0.22:bh=-0.28:saturation=0.9[base];"
        f"{_ramp('Y/H', (122, 54, 96), (255, 150, 64))},format=yuv420p[sky];"
        "[base][sky]blend=c0_mode=overlay:c1_mode=grainmerge:c2_mode=grainmerge"
        ":c0_opacity=0.6:c1_opacity=0.42:c2_opacity=0.42",
        "light",
    ),
    Look(
        "sketch",
        ("sketch", "pencil", "charcoal", "graphite", "line drawing", "drawing"),
        "lutyuv=u=128:v=128,split[a][b];[b]gblur={7u}[soft];"
        "[a][soft]blend=c0_mode=divide[lines];"
        "[lines]lutyuv=y='clip((val-150)*2.1+20,26,230)'[dark];"
        f"{_texture(60, 0.8)}[paper];"
        "[dark][paper]blend=c0_mode=grainmerge",
    ),
    Look(
        "clay",
        ("clay", "claymation", "plasticine", "stop motion", "stop-motion"),
        "scale={w}/4:{h}/4,median=radius=3,scale={w}:{h}:flags=bicubic,gblur={3u},"
        "lutyuv=y='clip(40+(val-16)*0.8,16,235)':u='128+(val-128)*1.5-4':v='128+(val-128)*1.5+6',"
        "split[a][b];"
        "[b]scale={w}/2:{h}/2,convolution='-3 -2 0 -2 0 2 0 2 3':0rdiv=0.9:0bias=128,"
        "scale={w}:{h},gblur={1.5u},lutyuv=u=128:v=128[relief];"
        "[a][relief]blend=c0_mode=grainmerge",
    ),
    Look(
        "glitch",
        ("glitch", "datamosh", "corrupted", "broken signal", "vhs"),
        "chromashift=cbh={-22~-14}:crh={14~22}:crv={3px},split=3[a][b][c];"
        "[b]crop=w=iw:h={90px}:x=0:y='mod(n*61+{40~600},ih-{90px})',"
        "lutyuv=u='255-val'[bar];"
        "[a][bar]overlay=x='{60px}*sin(n*1.7+1)':y='mod(n*61+{40~600},H-{90px})'[one];"
        "[c]crop=w=iw:h={40px}:x=0:y='mod(n*97+{40~600},ih-{40px})',negate=components=y[bar2];"
        "[one][bar2]overlay=x='-{90px}*cos(n*2.3)':y='mod(n*131+{40~600},H-{40px})'[two];"
        f"{_screen('128+18*lt(mod(Y,4),2)-9')}[scan];"
        "[two][scan]blend=c0_mode=grainmerge",
    ),
    Look(
        "oil painting",
        (
            "oil painting",
            "oil paint",
            "oil",
            "impasto",
            "van gogh",
            "impressionist",
            "acrylic",
            "canvas",
        ),
        "scale={w}/3:{h}/3,dilation,erosion,erosion,dilation,median=radius=2,"
        "scale={w}:{h}:flags=bilinear,unsharp=9:9:1.6,"
        "lutyuv=u='128+(val-128)*1.7':v='128+(val-128)*1.7'[paint];"
        f"{_texture(50, 1.6, ',convolution=0m=-2 -1 0 -1 1 1 0 1 2,gblur={1.2u}')}[canvas];"
        "[paint][canvas]blend=c0_mode=grainmerge",
    ),
    Look(
        "vintage",
        ("vintage", "retro", "polaroid", "70s", "1970s", "faded", "nostalgic", "super 8", "analog"),
        "lutyuv=y='clip(62+(val-16)*0.66,16,235)',"
        "colorcorrect=rl=-0.02:bl=0.06:rh=0.10:bh=-0.22:saturation=0.62,vignette=angle=PI/6,"
        "noise=c0s=14:c0f=t:all_seed={seed}",
        "light",
    ),
    Look(
        "cyberpunk",
        ("cyberpunk", "blade runner", "dystopian", "sci-fi", "futuristic"),
        "lutyuv=y='clip(16+219*pow(max(val-16,0)/219,1.35),16,235)',"
        "colorcorrect=rl=-0.16:bl=0.12:rh=0.16:bh=0.10:saturation=1.4,split[a][b];"
        "[b]gblur={12u},lutyuv=y='16+(val-16)*0.55'[bloom];"
        "[bloom][a]blend=c0_mode=screen:c1_opacity=0:c2_opacity=0,chromashift=cbh=5:crh=-5",
        "light",
    ),
    Look(
        "blueprint",
        ("blueprint", "technical drawing", "schematic", "cyanotype"),
        f"{_lines(1.0, 3.0, 24)},negate=components=y,"
        "lutyuv=y='clip(72+(val-16)*0.74,16,235)':u=172:v=96,"
        "drawgrid=w={64px}:h={64px}:t=1:c=white@0.25",
    ),
    Look(
        "comic",
        ("comic", "halftone", "pop art", "pop-art", "lichtenstein", "graphic novel"),
        "gblur={2u},split=3[a][b][c];"
        "[a]lutyuv=y='clip(96+floor((val-16)/73)*62,16,235)':u='128+(val-128)*2.4'"
        ":v='128+(val-128)*2.4'[flat];"
        f"{_screen('128+112*sin((X+Y)*0.44)*sin((X-Y)*0.44)')}[dots];"
        "[b]lutyuv=y='clip(val*1.14+4,0,255)'[tone];"
        "[tone][dots]blend=c0_mode=hardmix:c1_opacity=0:c2_opacity=0,"
        "lutyuv=y='clip(val,60,235)'[print];"
        "[print][flat]blend=c0_mode=darken:c1_opacity=0:c2_opacity=0[inked];"
        f"[c]{_lines(1.0, 3.4, 30, 123)}[line];"
        "[line][inked]blend=c0_mode=darken:c1_opacity=0:c2_opacity=0",
    ),
    Look(
        "thermal",
        ("thermal", "infrared", "heat map", "heatmap", "predator vision"),
        "gblur={2u},pseudocolor=preset=turbo",
    ),
    Look(
        "matrix",
        ("matrix", "hacker", "night vision", "phosphor", "terminal"),
        "lutyuv=y='clip(16+219*pow(max(val-16,0)/219,1.25)*0.95,16,235)':u=96:v=84[green];"
        f"{_screen('128-26*lt(mod(Y,6),3)')}[scan];"
        "[green][scan]blend=c0_mode=grainmerge,"
        "vignette=angle=PI/5,noise=c0s=16:c0f=t:all_seed={seed}",
    ),
    Look(
        "fog",
        ("fog", "mist", "haze", "smoke"),
        "lutyuv=y='clip(120+(val-16)*0.42,16,235)':u='130+(val-128)*0.35':v='127+(val-128)*0.35',"
        "gblur={2.2u}[veil];"
        "color=c=gray:s={w}x{h}:r={fps},trim=end_frame=1,format=yuv420p,"
        "noise=c0s=100:all_seed={seed},scale={w}/16:{h}/16,gblur=7,"
        "lutyuv=y='clip((val-128)*14+128,90,200)':u=128:v=128,scale={w}:{h},"
        "loop=loop=-1:size=1,scroll=h=0.0012[drift];"
        "[veil][drift]blend=c0_mode=softlight:shortest=1",
        "weather",
    ),
    Look(
        "night",
        ("night", "midnight", "moonlight", "moonlit", "nighttime"),
        "lutyuv=y='clip(18+(val-16)*0.45,16,235)':u='146+(val-128)*0.5':v='118+(val-128)*0.4',"
        "vignette=angle=PI/4.6",
        "light",
    ),
    Look(
        "dream",
        ("dream", "pastel", "ethereal", "fairytale", "fairy tale", "soft glow", "bloom"),
        "lutyuv=y='clip(70+(val-16)*0.72,16,235)':u='130+(val-128)*0.8':v='140+(val-128)*0.8',"
        "split[a][b];[b]gblur={16u}[soft];"
        "[soft][a]blend=c0_mode=screen:c0_opacity=0.5:c1_opacity=0.6:c2_opacity=0.6",
        "light",
    ),
    Look(
        "x-ray",
        ("x-ray", "xray", "negative", "inverted", "radiograph"),
        "lutyuv=y='clip(251-val,16,235)':u=136:v=122,"
        "lutyuv=y='clip(16+219*pow(max(val-16,0)/219,1.5),16,235)'",
    ),
)

BY_NAME: Final = {look.name: look for look in LOOKS}
